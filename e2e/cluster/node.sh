#!/usr/bin/env bash
# The first process of one Node, started by up.sh inside the Node's own namespaces: containerd, kubelet, kube-proxy.
#   node.sh NUMBER IMAGE…
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/settings.sh"
number=$1
shift
name=node$number
home=$state/nodes/$name
mkdir -p "$home"/{containerd,cni,kubelet,pods,containers,runtime,cgroup,data,log} /var/lib/kubelet /var/log/pods /var/log/containers /run/containerd /run/netns /run/podflow /data

# --- its own view of the machine
mount --make-rshared / # a private copy of the tree (see unshare in up.sh), shared inside the Node as kubelet expects
hostname "$name"
# /sys of this network namespace, with the machine's cgroup mounts kept
mount --rbind /sys/fs/cgroup "$home/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$home/cgroup" /sys/fs/cgroup
mount --bind "$home/kubelet" /var/lib/kubelet
mount --bind "$home/pods" /var/log/pods
mount --bind "$home/containers" /var/log/containers
mount --bind "$home/runtime" /run/containerd
mount -t tmpfs tmpfs /run/netns
# hostPath of the agents and of Elasticsearch, which would be all Nodes' and the machine's otherwise
mount -t tmpfs tmpfs /run/podflow
mount --bind "$home/data" /data

# Without bridge-nf-call-iptables, flows between Pods of one Node pass the bridge untracked.
for key in ipv4/ip_forward bridge/bridge-nf-call-iptables; do echo 1 >"/proc/sys/net/$key"; done
for hierarchy in /sys/fs/cgroup/*/; do
    case $hierarchy in */unified/) continue ;; esac
    mkdir -p "$hierarchy/podflow-$name"
done
for file in cpuset.cpus cpuset.mems; do cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/podflow-$name/$file"; done

# --- configuration
cat >"$home/cni/10-bridge.conflist" <<END
{"cniVersion": "0.4.0", "name": "test", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$home/cni-ipam", "ranges": [[{"subnet": "$(pod_range "$number")"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
cat >"$home/containerd.toml" <<END
version = 2
root = "$home/containerd/root"
state = "/run/containerd/state"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$sandbox_image"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$home/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
[plugins."io.containerd.internal.v1.opt"]
  path = "$home/containerd/opt"
END
cat >"$home/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $(node_address "$number")
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /podflow-$name
failSwapOn: false
oomScoreAdj: 0
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
resolvConf: ""
clusterDNS: ["$control_plane"]
clusterDomain: cluster.local
tlsCertFile: $state/pki/$name.crt
tlsPrivateKeyFile: $state/pki/$name.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $state/pki/ca.crt}}
authorization: {mode: Webhook}
evictionHard: {memory.available: "100Mi"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
podCIDR: $(pod_range "$number")
nodeStatusUpdateFrequency: 5s
END
cat >"$home/proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $state/proxy.conf}
hostnameOverride: $name
mode: iptables
clusterCIDR: 10.244.0.0/16
oomScoreAdj: 0
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
iptables: {minSyncPeriod: 200ms, syncPeriod: 30s}
END

# Pods reach the outside under the Node's address, as with most network plugins.
iptables -w -t nat -A POSTROUTING -s "$(pod_range "$number")" ! -d 10.244.0.0/16 -o eth0 -m comment --comment "Pods to the outside" -j MASQUERADE

# --- its programs; the Node ends when all of them have
containerd -c "$home/containerd.toml" >"$home/log/containerd.log" 2>&1 &
until ctr -n k8s.io version >/dev/null 2>&1; do sleep 0.1; done
for archive in "$@"; do ctr -n k8s.io images import "$archive" >>"$home/log/import.log" 2>&1; done
until curl -sk -o /dev/null "https://$control_plane:$api_port/livez"; do sleep 0.1; done
kubelet --config="$home/kubelet.yaml" --kubeconfig="$state/$name.conf" --hostname-override="$name" --node-ip="$(node_address "$number")" -v=2 \
    >"$home/log/kubelet.log" 2>&1 &
kube-proxy --config="$home/proxy.yaml" -v=2 >"$home/log/proxy.log" 2>&1 &
while [ -n "$(jobs -r)" ]; do wait -n || true; done
exit 1
