#!/usr/bin/env bash
# Builds the images of agent and collector, each one static program on an empty base.
#
#   build/images.sh                                  podflow/agent:VERSION and podflow/collector:VERSION, with docker, podman or buildah
#   build/images.sh --archive DIR                    as files DIR/agent.tar and DIR/collector.tar, to be carried to the Nodes
#   REGISTRY=registry.example build/images.sh --push --render
#                                                    pushes them, and writes that name into build/yamls
#
# From the environment:
#   TOOL      docker, podman or buildah (default: the first that is there and answers)
#   PROFILE   release (default) or dev
#   TARGETS   Rust targets, one image each under a common name when pushed
#             (default: this machine's; x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu for both)
#   VERSION   default: the git tag of this commit, else the version in Cargo.toml
set -euo pipefail
cd "$(dirname "$0")/.."

archive=
push=
render=
while [ $# -gt 0 ]; do
    case $1 in
        --archive) mkdir -p "$2"; archive=$(cd "$2" && pwd); shift ;;
        --push) push=1 ;;
        --render) render=1 ;;
        *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 64 ;;
    esac
    shift
done
if [ -n "$push$render" ] && [ -z "${REGISTRY:-}" ]; then
    echo "images: --push and --render need REGISTRY, the name before podflow/agent" >&2
    exit 64
fi

tool=${TOOL:-}
for candidate in docker podman buildah; do
    # A docker client without its daemon answers `version` with a failure.
    [ -n "$tool" ] || ! $candidate version >/dev/null 2>&1 || tool=$candidate
done
[ -n "$tool" ] || { echo "images: needs a docker that runs, podman or buildah (apt-get install buildah)" >&2; exit 1; }
profile=${PROFILE:-release}
version=${VERSION:-$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null | sed 's/^v//' || true)}
version=${version:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=${CARGO_TARGET_DIR:-target}
targets=${TARGETS:-$host}
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

# architecture TARGET: as image tools call it
architecture() {
    case $1 in
        x86_64-*) echo amd64 ;;
        aarch64-*) echo arm64 ;;
        *) echo "images: no name for the architecture of $1" >&2; return 64 ;;
    esac
}

# compile TARGET: both programs, statically linked; for this machine with what the tests' build has compiled already
compile() {
    local folder=$target_dir/${profile/dev/debug}
    local -a arguments=(--locked --workspace --profile "$profile" --bin podflow-agent --bin podflow-collector)
    if [ "$1" != "$host" ]; then
        arguments+=(--target "$1")
        folder=$target_dir/$1/${profile/dev/debug}
    fi
    RUSTC_WORKSPACE_WRAPPER=$PWD/build/static-rustc.sh cargo build "${arguments[@]}"
    mkdir -p "$context/$1"
    for part in agent collector; do
        if command -v strip >/dev/null && [ "$1" = "$host" ]; then
            strip -o "$context/$1/podflow-$part" "$folder/podflow-$part"
        else
            cp "$folder/podflow-$part" "$context/$1/podflow-$part"
        fi
    done
}

# image PART TARGET NAME
image() {
    local -a arguments=(--file "build/$1.Dockerfile" --tag "$3" --platform "linux/$(architecture "$2")"
        --build-arg "VERSION=$version" --build-arg "REVISION=$revision")
    # Inside a container or under mixed cgroups no namespaces of its own are to be had; nothing is run while building.
    case $tool in
        buildah) buildah build --quiet --isolation chroot "${arguments[@]}" "$context/$2" >/dev/null ;;
        *) "$tool" build --quiet "${arguments[@]}" "$context/$2" >/dev/null ;;
    esac
}

# save NAME FILE: as a docker archive
save() {
    rm -f "$2"
    case $tool in
        buildah) buildah push --quiet "$1" "docker-archive:$2:$1" ;;
        *) "$tool" save -o "$2" "$1" ;;
    esac
}

for target in $targets; do compile "$target"; done
for part in agent collector; do
    name=${REGISTRY:+$REGISTRY/}podflow/$part:$version
    images=()
    for target in $targets; do
        one=$name
        [ "$targets" = "$target" ] || one=$name-$(architecture "$target")
        image $part "$target" "$one"
        images+=("$one")
        echo "images: $one"
    done
    [ -z "$archive" ] || save "${images[0]}" "$archive/$part.tar"
    if [ -n "$push" ]; then
        for one in "${images[@]}"; do "$tool" push "$one"; done
        if [ ${#images[@]} -gt 1 ]; then
            "$tool" manifest create "$name" "${images[@]}"
            case $tool in buildah | podman) "$tool" manifest push --all "$name" "docker://$name" ;; *) docker manifest push "$name" ;; esac
        fi
    fi
done
if [ -n "$render" ]; then
    VERSION=$version deploy/render.sh
    echo "images: build/yamls names $REGISTRY/podflow/…:$version"
fi
