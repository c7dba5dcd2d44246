#!/usr/bin/env bash
# elasticsearch-image.sh ARCHIVE: an image of the Elasticsearch that the manifests name, as a docker archive: the server of e2e/servers, a
# JDK of this machine, the libraries that it is linked with, and busybox. No registry can be asked for the real image; this one has its
# name, its folders and its way to take settings from the environment. What cannot be had is said: exit status 1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
archive=$1
name=$(sed -n 's/.*image: \(.*elasticsearch:.*\)/\1/p' "$here/../../build/yamls/elk-flow-collector/elk-flow-collector.yml" | head -n 1)
server=elasticsearch-${name##*:}
"$here/../servers/fetch.sh" "$server"
java=$("$here/../servers/java-home.sh" 21 99)
want="$name $java $(cat "$0" "$here/elasticsearch-entry.sh" | sha256sum | cut -c1-12)"
[ "$(cat "$archive.made" 2>/dev/null)" != "$want" ] || [ ! -f "$archive" ] || exit 0
rm -f "$archive" "$archive.made"

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
home=$tree/usr/share/elasticsearch
mkdir -p "$home" "$tree"/{bin,tmp,etc,lib64}
cp -rL "${XDG_CACHE_HOME:-$HOME/.cache}/podflow/servers/$server/." "$home/"
mkdir -p "$home"/{data,logs}
cp -rL "$java" "$home/jdk"
rm -rf "$home"/jdk/{jmods,lib/src.zip,man}
cp "$(command -v busybox)" "$tree/bin/busybox"
for applet in sh chown cp mkdir tr; do ln -s busybox "$tree/bin/$applet"; done
# What the JVM is linked with, without its windows and sounds.
find "$home/jdk" -name '*.so' -o -path '*/bin/java' | grep -vE 'awt|sound|font|splash|jsound|lcms|javajpeg' | xargs ldd 2>/dev/null |
    sed -n -e 's/.* => \(\/[^ ]*\) .*/\1/p' -e 's/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\) .*/\1/p' | grep -v "$java\|$home" | sort -u |
    while read -r library; do
        mkdir -p "$tree/${library%/*}"
        cp -L "$library" "$tree/$library"
    done
cp "$here/elasticsearch-entry.sh" "$tree/bin/elasticsearch"
echo 'elasticsearch:x:1000:0::/usr/share/elasticsearch:/bin/sh' >"$tree/etc/passwd"
# Its collector and log of it are not needed.
sed -i -e '/UseG1GC/d' -e '/Xlog:gc/d' "$home/config/jvm.options"
: >"$home/config/elasticsearch.yml"
chmod 1777 "$tree/tmp"
chmod 755 "$tree"

container=$(buildah from scratch)
buildah copy -q "$container" "$tree" / >/dev/null
buildah config --env PATH=/bin --workingdir /usr/share/elasticsearch --user 1000:0 --entrypoint '["/bin/elasticsearch"]' "$container"
buildah commit -q --rm "$container" "docker-archive:$archive:$name" >/dev/null
echo "$want" >"$archive.made"
