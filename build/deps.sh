#!/usr/bin/env bash
# Installs the system packages that Podflow's build, demo and tests need, and nothing that is there already.
#   build/deps.sh run     what `make run` needs
#   build/deps.sh test    that, and the programs and servers that the tests use as counterparts
#   build/deps.sh cluster what `make test-cluster` needs: a Kubernetes without Docker, and an image builder
# For Debian and its relatives. Needs root only when a package is missing; says what it is about to install.
# The toolchains (Rust, Node) are checked and never installed: which one to use is the user's decision.
set -euo pipefail
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" # programs for root, also when asked as a user

wanted=${1:-test}
missing=() # packages to install
why=()     # a line for each, for the user
faults=()  # what we cannot install

# need COMMAND-OR-PATH PACKAGE REASON
need() {
    case $1 in
        /*) [ -e "$1" ] && return ;;
        *) command -v "$1" >/dev/null && return ;;
    esac
    missing+=("$2")
    why+=("$(printf '  %-22s %s' "$2" "$3")")
}

# at_least HAVE WANT: compares versions
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

need_rust() {
    local want have
    want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml")
    if ! have=$(cargo --version 2>/dev/null | cut -d' ' -f2); then
        faults+=("Rust $want or newer is missing (program cargo): install it with rustup")
    elif ! at_least "$have" "$want"; then
        faults+=("Rust $have is too old, $want or newer is needed: rustup update stable")
    fi
}

need_rust_checks() {
    for part in fmt clippy; do
        cargo "$part" --version >/dev/null 2>&1 || faults+=("cargo $part is missing: rustup component add rustfmt clippy")
    done
}

need_node() {
    local have
    if ! have=$(node --version 2>/dev/null) || ! command -v npm >/dev/null; then
        faults+=("Node 20 or newer with npm is missing (it builds the web page)")
    elif ! at_least "${have#v}" 20; then
        faults+=("Node ${have#v} is too old, 20 or newer is needed (it builds the web page)")
    fi
}

need_go() {
    local have
    if ! have=$(go env GOVERSION 2>/dev/null); then
        faults+=("Go 1.24 or newer is missing (it builds the Kubernetes binaries): install it from go.dev")
    elif ! at_least "${have#go}" 1.24; then
        faults+=("Go ${have#go} is too old, 1.24 or newer is needed (it builds the Kubernetes binaries)")
    fi
}

need_java() {
    # The lowest version that every server of e2e/servers can do with; a newer one is found there by itself.
    "$(dirname "$0")/../e2e/servers/java-home.sh" 17 17 >/dev/null 2>&1 && return
    missing+=(openjdk-17-jdk-headless)
    why+=("  openjdk-17-jdk-headless runs OpenSearch and Elasticsearch in tests")
}

[ "$(uname -s)" = Linux ] || { echo "deps: Podflow is for Linux (conntrack, network namespaces); elsewhere use a Linux VM" >&2; exit 1; }

need cc gcc "links what Rust compiles"
need /usr/include/stdio.h libc6-dev "what everything is linked with"
need ld.lld lld "links it fast"
need ip iproute2 "links and routes of the demo's Nodes and Pods"
need nft nftables "connection tracking zones and Services of the demo's Nodes"
need conntrack conntrack "a second reader of the kernel's table"
need_rust
need_node
if [ "$wanted" = test ]; then
    need ps procps "looks at processes in tests"
    need tshark tshark "reads our IPFIX, and writes captures with editcap and its like"
    need tcpdump tcpdump "writes captures"
    need /usr/lib/python3/dist-packages/scapy python3-scapy "makes frames and captures"
    need ipfixDump libfixbuf-tools "reads our IPFIX"
    need /usr/include/fixbuf/public.h libfixbuf-dev "a writer of lists that we read"
    need pkg-config pkgconf "finds it"
    need nfcapd nfdump "reads our IPFIX"
    need softflowd softflowd "exports NetFlow and IPFIX to us"
    need pmacctd pmacct "exports NetFlow and IPFIX to us"
    need /usr/lib/python3/dist-packages/ipfix python3-ipfix "reads our IPFIX and exports to us"
    need /usr/share/doc/python3-venv python3-venv "the official clients of Elasticsearch and OpenSearch, for tests"
    need ovs-vswitchd openvswitch-switch "the other connection tracking"
    need chromium chromium "opens the web page in tests"
    need /usr/share/fonts/truetype/dejavu fonts-dejavu-core "letters for the pictures of the page"
    need mvn maven "fetches OpenSearch and Elasticsearch for tests"
    need unzip unzip "unpacks them"
    need curl curl "asks them, and the demo"
    need_java
    command -v kubectl >/dev/null || need_go # renders the manifests, or builds what does
    need_rust_checks
fi
if [ "$wanted" = cluster ]; then
    need etcd etcd-server "holds what the API server knows"
    need containerd containerd "runs the Pods"
    need runc runc "starts their containers"
    need /usr/lib/cni/bridge containernetworking-plugins "gives them addresses"
    need iptables iptables "kube-proxy's Services"
    need buildah buildah "builds images without a registry"
    need dnsmasq dnsmasq-base "names for its Pods"
    need /usr/share/doc/busybox-static busybox-static "servers and clients in the test cluster's Pods"
    need openssl openssl "certificates of the test cluster"
    need curl curl "asks the page"
    need_go
fi

if [ ${#missing[@]} -gt 0 ]; then
    echo "deps: to be installed with apt:"
    printf '%s\n' "${why[@]}"
    if [ "$(id -u)" -ne 0 ]; then
        faults+=("not root, so nothing was installed: sudo apt-get install ${missing[*]}")
    elif ! command -v apt-get >/dev/null; then
        faults+=("no apt-get here: install these packages' counterparts by hand: ${missing[*]}")
    fi
fi
if [ ${#faults[@]} -gt 0 ]; then
    printf 'deps: %s\n' "${faults[@]}" >&2
    exit 1
fi
[ ${#missing[@]} -gt 0 ] || exit 0

# Some of the packages bring a service (Open vSwitch, softflowd, pmacct). Tests start their own copies: none is to run by itself.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
echo "deps: installed ${missing[*]}"
