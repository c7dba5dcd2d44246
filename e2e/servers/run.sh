#!/usr/bin/env bash
# run.sh NAME PORT [DATA]: runs a server on 127.0.0.1:PORT for as long as its own standard input stays open. It is killed, not stopped, and
# its data are removed afterwards; a folder DATA for them is kept, so that the next run goes on with it.
# The pipe of a test program to this script closes however the program ends, so no server outlives the tests; by hand: Ctrl-D.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
name=$1 port=$2 kept=${3:-}
home=${XDG_CACHE_HOME:-$HOME/.cache}/podflow/servers/$name

"$here/fetch.sh" "$name"
data=${kept:-$(mktemp -d "${TMPDIR:-/tmp}/podflow-$name.XXXXXX")}
server=
stop() {
    trap - EXIT
    [ -z "$server" ] || kill -KILL -- "-$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    [ -n "$kept" ] || rm -rf "$data"
}
trap stop EXIT
trap 'exit 1' TERM INT HUP

heap=(-Xms512m -Xmx768m -XX:+UseSerialGC -XX:-UsePerfData)

# A node inside a JVM of ours. The JVM reads nothing of the user's: its folder is the data folder.
runner() { # PACKAGE CLASS MASTER-ROLE JAVA-FROM JAVA-TO
    sed -e "s/@PACKAGE@/$1/" -e "s/@RUNNER@/$2/g" -e "s/@MASTER@/$3/" "$here/Node.java" >"$data/Node.java"
    exec "$(java_home "$4" "$5")/bin/java" "${heap[@]}" -Djava.io.tmpdir="$data" -cp "$home/lib/*" "$data/Node.java" "$port" "$data/node"
}

java_home() { "$here/java-home.sh" "$@"; }

# The distributions refuse to run as root, so root calls itself another user inside a user namespace, where its files stay its own.
distribution() { # PROGRAM, how its environment variables begin, MORE-SETTINGS
    local program=$1 prefix=$2 more=$3 as=() java
    [ "$(id -u)" -ne 0 ] || as=(unshare --user --map-user=1000 --map-group=1000)
    java=$(java_home 21 99)
    export "${prefix}_JAVA_HOME=$java" "${prefix}_HOME=$home" "${prefix}_PATH_CONF=$data/config" "${prefix}_TMPDIR=$data/tmp" \
        "${prefix}_JAVA_OPTS=${heap[*]}"
    export CLI_JAVA_OPTS="-XX:-UsePerfData -Djava.io.tmpdir=$data/tmp" # of the JVM that starts Elasticsearch's
    mkdir -p "$data/tmp" "$data/data" "$data/logs"
    rm -rf "$data/config"
    cp -r "$home/config" "$data/config"
    sed -i -e '/UseG1GC/d' -e '/Xlog:gc/d' "$data/config/jvm.options" # our own collector, and no log of its work
    cat >"$data/config/$program.yml" <<EOF
cluster.name: podflow-test-$port
discovery.type: single-node
network.host: 127.0.0.1
http.port: $port
path.data: $data/data
path.logs: $data/logs
# Why: see Node.java.
indices.breaker.total.use_real_memory: false
cluster.routing.allocation.disk.threshold_enabled: false
cluster.info.update.interval: 10s
$more
EOF
    cd "$data" # where the JVM leaves its own logs
    [ ! -x "$home/bin/$program" ] || exec "${as[@]}" "$home/bin/$program"
    # The script that would start Elasticsearch is not always part of what we have: these two lines are what it comes to.
    exec "${as[@]}" bash -c 'set -ea; source "$0"; exec "$JAVA" -Xmx64m $CLI_JAVA_OPTS -cp "$ES_HOME/lib/tools/server-launcher/*" org.elasticsearch.server.launcher.ServerLauncher' \
        "$home/bin/elasticsearch-env"
}

set -m # the server gets a process group of its own, so that its children end with it
case $name in
    opensearch-2.*) runner org.codelibs.opensearch.runner OpenSearchRunner cluster_manager 17 21 </dev/null >"$data/log" 2>&1 & ;;
    elasticsearch-7.*) runner org.codelibs.elasticsearch.runner ElasticsearchClusterRunner master 11 17 </dev/null >"$data/log" 2>&1 & ;;
    opensearch-*) distribution opensearch OPENSEARCH "" </dev/null >"$data/log" 2>&1 & ;;
    elasticsearch-*) distribution elasticsearch ES "xpack.security.enabled: false" </dev/null >"$data/log" 2>&1 & ;;
esac
server=$!
set +m

# Whichever comes first: our standard input closes, or the server ends by itself.
while kill -0 "$server" 2>/dev/null; do
    status=0
    read -r -t 1 _ || status=$?
    [ "$status" -gt 128 ] || [ "$status" -eq 0 ] || exit 0 # end of input; above 128 is the time-out
done
echo "$name ended by itself; its last lines:" >&2
tail -n 40 "$data/log" >&2
exit 1
