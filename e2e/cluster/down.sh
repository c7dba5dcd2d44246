# Ends the cluster: each Node's first process (all its processes, mounts and interfaces go with the namespaces), then the
# control plane, the network, the cgroups, and the state. Works on a half-built cluster, and when there is none.
[ -d "$state" ] || return 0
cd "$state"

. "$here/control-plane.sh"

end watcher TERM
for file in node*.pid; do
    [ ! -e "$file" ] || end "${file%.pid}" KILL # unshare(1) does not pass on TERM
done
for name in scheduler controller-manager dns apiserver etcd; do end $name TERM; done

for space in $(ip netns ls | awk -v prefix="^${netns_prefix}(node|outside)" '$1 ~ prefix {print $1}'); do ip netns del "$space"; done
ip link del "$bridge" 2>/dev/null || true # its routes go with it
for link in $(ip -o link show type veth | sed -n 's/^[0-9]*: \(podflow-\(n[0-9]*\|out\)\)@.*/\1/p'); do ip link del "$link" 2>/dev/null || true; done
# A cgroup can be removed once its last process has been reaped.
for _ in $(seq 1 25); do
    find /sys/fs/cgroup -depth -type d -path '*/podflow-node*' -exec rmdir {} + 2>/dev/null || true
    [ -n "$(find /sys/fs/cgroup -type d -name 'podflow-node*' -print -quit)" ] || break
    sleep 0.2
done
if [ -f sysctl.saved ]; then
    while IFS== read -r key value; do echo "$value" >"/proc/sys/$key"; done <sysctl.saved
fi
rmdir /run/podflow /data 2>/dev/null || true # under the Nodes' own mounts
cd /
rm -rf "$state"
