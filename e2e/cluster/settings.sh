# What the parts of `cluster` agree on; read by each of them.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/podflow/kubernetes
bin=$cache/bin
state=$cache/state # of the cluster that is up; there is one at a time
version=1.34.4     # of Kubernetes; the modules in binaries/ say the same

control_plane=10.199.0.254 # on the bridge that joins the Nodes; Node i is 10.199.0.i and holds Pods 10.244.i.0/24
outside=10.199.0.100       # neither Node nor Pod: a client of NodePorts and load balancers, a server for Pods
balancer_range=10.198.0.0/24 # load-balancer addresses, which lead to node1
api_port=16443
etcd_port=12379
service_range=10.96.0.0/16
bridge=podflow-k8s
netns_prefix=podflow-
sandbox_image=localhost/podflow-pause:1
busybox_image=localhost/podflow-busybox:1 # on every Node, for the Pods of tests

node_address() { echo "10.199.0.$1"; }
pod_range() { echo "10.244.$1.0/24"; }

PATH="$bin:$PATH:/usr/sbin:/sbin"
export PATH
export KUBECONFIG=$state/admin.conf

say() { printf 'cluster: %s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }
