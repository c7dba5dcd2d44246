# How the parts of the control plane start and are waited for. Read by up.sh, and by `cluster` for the API server alone.

# start NAME COMMAND…: in the background, its output added to log/NAME.log
start() {
    local name=$1
    shift
    setsid "$@" >>"log/$name.log" 2>&1 </dev/null &
    echo $! >"$name.pid"
}

start_etcd() {
    start etcd etcd --name e --data-dir "$state/etcd" --unsafe-no-fsync \
        --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls http://127.0.0.1:$((etcd_port + 1)) --initial-advertise-peer-urls http://127.0.0.1:$((etcd_port + 1)) \
        --initial-cluster e=http://127.0.0.1:$((etcd_port + 1))
}

start_apiserver() {
    start apiserver kube-apiserver --etcd-servers="http://127.0.0.1:$etcd_port" \
        --bind-address="$control_plane" --advertise-address="$control_plane" --secure-port="$api_port" \
        --tls-cert-file=pki/apiserver.crt --tls-private-key-file=pki/apiserver.key --client-ca-file=pki/ca.crt \
        --kubelet-client-certificate=pki/apiserver-to-kubelet.crt --kubelet-client-key=pki/apiserver-to-kubelet.key \
        --kubelet-certificate-authority=pki/ca.crt --kubelet-preferred-address-types=InternalIP \
        --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=pki/accounts.pub \
        --service-account-signing-key-file=pki/accounts.key --service-cluster-ip-range="$service_range" \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true
}

# Names for Pods, from the files of dns/: the cluster has no CoreDNS, whose build takes minutes.
start_dns() {
    start dns dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts \
        --listen-address="$control_plane" --bind-interfaces --local=/cluster.local/ --hostsdir="$state/dns"
}

# gone PID: ended, or only waiting to be reaped by whoever started it
gone() { ! grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"; }

# end NAME SIGNAL: of the process that `start` started under that name
end() {
    local pid
    pid=$(cat "$1.pid" 2>/dev/null) || return 0
    if [ "$pid" != $$ ]; then
        kill "-$2" -- "-$pid" 2>/dev/null || true # it leads a group of its own
        for _ in $(seq 1 200); do
            ! gone "$pid" || break
            sleep 0.05
        done
        gone "$pid" || kill -KILL -- "-$pid" 2>/dev/null || true
    fi
    rm -f "$1.pid"
}

# until_true SECONDS WHAT COMMAND…: fails with the last lines of every log when it does not become true in time
until_true() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $deadline ]; then
            say "$what did not come"
            tail -n 15 log/*.log nodes/*/log/*.log >&2 2>/dev/null || true
            exit 1
        fi
        sleep 0.1
    done
}
