#!/usr/bin/env bash
# Writes the manifests under build/yamls from the sources in this folder.
#   deploy/render.sh            writes them
#   deploy/render.sh --check    fails when one of them is not what the sources say
# With REGISTRY and VERSION set, our images get that name before theirs and that tag. Needs kubectl, whose `kustomize` does the work; where there is none,
# it is built from its Go module (e2e/cluster).
set -euo pipefail
cd "$(dirname "$0")/.."

targets=(
    "flow-agent                  flow-agent.yml"
    "flow-visibility             flow-visibility.yml"
    "elk-flow-collector          elk-flow-collector/elk-flow-collector.yml"
    "elk-flow-collector-logstash elk-flow-collector/elk-flow-collector-logstash.yml"
)

kubectl=$(command -v kubectl || true)
if [ -z "$kubectl" ]; then
    kubectl=${XDG_CACHE_HOME:-$HOME/.cache}/podflow/kubernetes/bin/kubectl
    if [ ! -x "$kubectl" ]; then
        command -v go >/dev/null || { echo "render: needs kubectl, or Go 1.24 to build it" >&2; exit 2; }
        echo "render: building kubectl, two minutes, once" >&2
        mkdir -p "${kubectl%/*}"
        (cd e2e/cluster/binaries && go build -mod=readonly -trimpath -o "$kubectl" k8s.io/kubernetes/cmd/kubectl)
    fi
fi

render() {
    printf '# Made from deploy/%s by deploy/render.sh: change it there.\n' "$1"
    # The ConfigMap's folder lies beside the manifests, outside of the source's own.
    "$kubectl" kustomize --load-restrictor LoadRestrictionsNone "deploy/$1" |
        sed -E "s#image: (podflow/[a-z]+):(.*)#image: ${REGISTRY:+$REGISTRY/}\\1:${VERSION:-\\2}#"
}

stale=0
for target in "${targets[@]}"; do
    read -r source file <<<"$target"
    file=build/yamls/$file
    if [ "${1:-}" = --check ]; then
        diff -u "$file" <(render "$source") || { echo "render: $file is stale: deploy/render.sh" >&2; stale=1; }
    else
        render "$source" >"$file.new"
        mv "$file.new" "$file"
    fi
done
# Overlays are for users to render: here they only must be possible.
for overlay in deploy/overlays/*/; do
    "$kubectl" kustomize --load-restrictor LoadRestrictionsNone "$overlay" >/dev/null || { echo "render: $overlay cannot be rendered" >&2; stale=1; }
done
exit $stale
