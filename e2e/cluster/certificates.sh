# One authority, a certificate for each party, and a kubeconfig for each that talks to the API server. Read by up.sh.

# certificate NAME COMMON-NAME ORGANISATION ALTERNATIVE-NAMES
certificate() {
    [ ! -f "pki/$1.crt" ] || return 0
    openssl ecparam -name prime256v1 -genkey -noout -out "pki/$1.key"
    openssl req -new -key "pki/$1.key" -subj "${3:+/O=$3}/CN=$2" -out "pki/$1.csr"
    printf 'extendedKeyUsage=clientAuth,serverAuth\n%s\n' "${4:+subjectAltName=$4}" >"pki/$1.ext"
    openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 30 -extfile "pki/$1.ext" -out "pki/$1.crt" 2>/dev/null
}

# kubeconfig NAME: of the party whose certificate has that name
kubeconfig() {
    cat >"$1.conf" <<END
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://$control_plane:$api_port", certificate-authority: $state/pki/ca.crt}}]
users: [{name: $1, user: {client-certificate: $state/pki/$1.crt, client-key: $state/pki/$1.key}}]
contexts: [{name: test, context: {cluster: test, user: $1}}]
current-context: test
END
}

if [ ! -f pki/ca.crt ]; then
    openssl ecparam -name prime256v1 -genkey -noout -out pki/ca.key
    openssl req -x509 -new -key pki/ca.key -subj /CN=kubernetes-ca -days 30 -out pki/ca.crt
    openssl genrsa -out pki/accounts.key 2048 2>/dev/null
    openssl rsa -in pki/accounts.key -pubout -out pki/accounts.pub 2>/dev/null
fi
names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
certificate apiserver kube-apiserver "" "IP:127.0.0.1,IP:$control_plane,IP:${service_range%.*}.1,DNS:localhost,$names"
certificate apiserver-to-kubelet kube-apiserver-kubelet-client system:masters ""
certificate admin admin system:masters ""
certificate controller-manager system:kube-controller-manager "" ""
certificate scheduler system:kube-scheduler "" ""
certificate proxy system:kube-proxy "" ""
for party in admin controller-manager scheduler proxy; do kubeconfig $party; done
for i in $(seq 1 "$nodes"); do
    certificate "node$i" "system:node:node$i" system:nodes "IP:$(node_address "$i"),DNS:node$i"
    kubeconfig "node$i"
done
