# The Kubernetes binaries from their Go module, the image that holds a Pod's namespaces open, and one with a shell, a web server
# and clients for the Pods of tests.
# The modules and their sums are written down in binaries/; what is in the cache is not built again.
mkdir -p "$cache"
exec 9>"$cache/build.lock"
flock 9
mkdir -p "$bin" "$cache/images"

# sum FILE…
sum() { cat "$@" | sha256sum | cut -c1-12; }

programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
package=k8s.io/component-base/version
flags="-s -w -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=${version:2:2} -X $package.gitTreeState=clean"
want="$version $(sum "$here/binaries/go.mod" "$here/binaries/go.sum")"
if [ "$(cat "$cache/built" 2>/dev/null)" != "$want" ]; then
    say "building Kubernetes $version into $cache, about 10 minutes on 2 cores"
    rm -f "$cache/built"
    (
        cd "$here/binaries"
        # The build cache is 3 GB and of no use afterwards: a later version shares little of it.
        GOCACHE=$cache/go-build GOFLAGS=-mod=readonly go build -p "$(nproc)" -trimpath -ldflags="$flags" -o "$bin/" \
            "${programs[@]/#/k8s.io/kubernetes/cmd/}"
        rm -rf "$cache/go-build"
    )
    echo "$want" >"$cache/built"
    say "built: $(du -sh "$bin" | cut -f1) of programs"
fi

# image NAME FILE PROGRAM: one static program and nothing else
image() {
    local container
    container=$(buildah from scratch)
    buildah copy -q "$container" "$3" "/bin/${3##*/}" >/dev/null
    buildah config --env PATH=/bin --entrypoint "[\"/bin/${3##*/}\"]" "$container"
    rm -f "$2"
    buildah commit -q --rm "$container" "docker-archive:$2:$1" >/dev/null
}
want=$(sum "$here/pause.c" "$(command -v busybox)")
if [ "$(cat "$cache/images/built" 2>/dev/null)" != "$want" ]; then
    gcc -O2 -static -s -o "$cache/images/pause" "$here/pause.c"
    image "$sandbox_image" "$cache/images/pause.tar" "$cache/images/pause"
    image "$busybox_image" "$cache/images/busybox.tar" "$(command -v busybox)"
    echo "$want" >"$cache/images/built"
fi
