# Brings a cluster up: certificates, network of the Nodes, etcd and API server, Nodes, controllers. 4 to 10 seconds.
nodes=1
images=()
owner=
while [ $# -gt 0 ]; do
    case $1 in
        --nodes) nodes=$2 ;;
        --image) images+=("$(realpath "$2")") ;;
        --owner) owner=$2 ;;
        *) fail "up has no option $1" ;;
    esac
    shift 2
done
[ "$(id -u)" -eq 0 ] || fail "needs root: namespaces, a bridge, a container runtime"
[ -f "$cache/built" ] || fail "the Kubernetes binaries are not there: run $here/cluster build"
[ ! -d "$state" ] || fail "a cluster is up already, or was left half up: $here/cluster down"
if [ "$nodes" -gt 0 ] && [ ! -d /sys/fs/cgroup/cpuset ]; then
    fail "these Nodes use cgroup version 1 folders, and this machine has none; only --nodes 0 works here"
fi

begin=$(date +%s%N)
took() { say "$* after $((($(date +%s%N) - begin) / 1000000)) ms"; }

mkdir -p "$state"/{pki,log,etcd,dns,nodes}
cd "$state"
# Whoever started this may be killed: then the cluster goes too.
if [ -n "$owner" ]; then
    setsid bash -c 'tail --pid="$1" -f /dev/null; exec "$2" down' - "$owner" "$here/cluster" >/dev/null 2>&1 </dev/null &
    echo $! >watcher.pid
fi
. "$here/certificates.sh"

. "$here/control-plane.sh"

# --- the network: a bridge, an interface of each Node on it, routes to each Node's Pods; no way to the outside
ip link add "$bridge" type bridge
ip addr add "$control_plane/24" dev "$bridge"
ip link set "$bridge" up
# kubelet writes these for the whole machine; `down` puts them back
for key in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops; do
    echo "$key=$(cat /proc/sys/$key)" >>sysctl.saved
done
for i in $(seq 1 "$nodes"); do
    space=${netns_prefix}node$i
    ip netns add "$space"
    ip link add "podflow-n$i" type veth peer name eth0 netns "$space"
    ip link set "podflow-n$i" master "$bridge" up
    ip -n "$space" link set lo up
    ip -n "$space" addr add "$(node_address "$i")/24" dev eth0
    ip -n "$space" link set eth0 up
    ip -n "$space" route add default via "$control_plane"
    ip route add "$(pod_range "$i")" via "$(node_address "$i")"
    for j in $(seq 1 "$nodes"); do
        [ "$i" = "$j" ] || ip -n "$space" route add "$(pod_range "$j")" via "$(node_address "$j")"
    done
done
# Someone who is neither Node nor Pod: outside of the cluster, on its doorstep. Load-balancer addresses lead to the first Node.
space=${netns_prefix}outside
ip netns add "$space"
ip link add podflow-out type veth peer name eth0 netns "$space"
ip link set podflow-out master "$bridge" up
ip -n "$space" link set lo up
ip -n "$space" addr add "$outside/24" dev eth0
ip -n "$space" link set eth0 up
[ "$nodes" -eq 0 ] || ip -n "$space" route add "$balancer_range" via "$(node_address 1)"

# --- control plane
start_etcd
start_apiserver
start_dns
for i in $(seq 1 "$nodes"); do
    # --kill-child: when this process is killed, the Node's first process is too, and with it all of the Node
    start "node$i" nsenter --net="/run/netns/${netns_prefix}node$i" \
        unshare --mount --propagation private --uts --ipc --pid --fork --kill-child --mount-proc \
        "$here/node.sh" "$i" "$cache"/images/{pause,busybox}.tar "${images[@]}"
done

until_true 120 "the API server" kubectl get --raw=/readyz
took "API server ready"
start controller-manager kube-controller-manager --kubeconfig=controller-manager.conf --bind-address=127.0.0.1 --secure-port=20257 \
    --service-account-private-key-file=pki/accounts.key --root-ca-file=pki/ca.crt --use-service-account-credentials \
    --leader-elect=false --allocate-node-cidrs=false
until_true 60 "the first ServiceAccount" kubectl get serviceaccount default
if [ "$nodes" -gt 0 ]; then
    start scheduler kube-scheduler --kubeconfig=scheduler.conf --leader-elect=false --bind-address=127.0.0.1 --secure-port=20259
    kubectl create clusterrolebinding kube-proxy --clusterrole=system:node-proxier --user=system:kube-proxy >/dev/null
    for i in $(seq 1 "$nodes"); do until_true 120 "node$i" kubectl get node "node$i"; done
    until_true 120 "readiness of the Nodes" kubectl wait --for=condition=Ready node --all --timeout=10s
    took "$nodes Nodes ready"
fi
