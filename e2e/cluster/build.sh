# The Kubernetes binaries from their Go module, and the image that holds a Pod's namespaces open.
# The modules and their sums are written down in binaries/; what is in the cache is not built again.
want=$version-$(sha256sum "$here/binaries/go.mod" "$here/binaries/go.sum" "$here/pause.c" | sha256sum | cut -c1-12)
mkdir -p "$cache"
exec 9>"$cache/build.lock"
flock 9
if [ "$(cat "$cache/built" 2>/dev/null)" = "$want" ]; then
    return 0
fi
say "building Kubernetes $version into $cache, about 10 minutes on 2 cores"
rm -f "$cache/built"
mkdir -p "$bin" "$cache/images"

programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
package=k8s.io/component-base/version
flags="-s -w -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=${version:2:2} -X $package.gitTreeState=clean"
(
    cd "$here/binaries"
    # The build cache is 3 GB and of no use afterwards: a later version shares little of it.
    GOCACHE=$cache/go-build GOFLAGS=-mod=readonly nice go build -p "$(nproc)" -trimpath -ldflags="$flags" -o "$bin/" \
        "${programs[@]/#/k8s.io/kubernetes/cmd/}"
    rm -rf "$cache/go-build"
)

gcc -O2 -static -s -o "$cache/images/pause" "$here/pause.c"
container=$(buildah from scratch)
buildah copy -q "$container" "$cache/images/pause" /pause >/dev/null
buildah config --entrypoint '["/pause"]' "$container"
rm -f "$cache/images/pause.tar"
buildah commit -q --rm "$container" "docker-archive:$cache/images/pause.tar:$sandbox_image" >/dev/null
echo "$want" >"$cache/built"
say "built: $(du -sh "$bin" | cut -f1) of programs"
