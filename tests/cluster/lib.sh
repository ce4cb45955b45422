# Sourced by every command here: where things are, and how to reach the cluster.

kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
me=${0##*/}

# Everything that the cluster writes, its sockets included. `down` removes it.
state=${CLUSTER_STATE:-/var/lib/kubecure-cluster}
# The API server's port: in the cluster's own network namespace, and on 127.0.0.1 outside.
port=${CLUSTER_PORT:-6443}
# All containers run below this cgroup, so that a kubelet that is already on the machine is left in peace.
cgroup=kubecure-cluster

node_name=node1
node_ip=10.77.0.1 # exists only inside
pod_cidr=10.88.0.0/16
service_cidr=10.96.0.0/16

say() { echo "$me: $*" >&2; }
fail() { say "$@"; exit 1; }
# For waits that a person would want to know of: VERBOSE=1 shows them.
note() { [ "${VERBOSE:-0}" = 0 ] || printf '%6.1fs %s\n' "$((($(date +%s%N) - began) / 1000000))e-3" "$*" >&2; }
began=$(date +%s%N)
# quietly COMMAND...: its output only if it fails.
quietly() { local output; output=$("$@" 2>&1) || { local code=$?; echo "$output" >&2; return "$code"; }; }

# What is built, each part in a folder named by what it is made of, so that every checkout with the same inputs shares it.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubecure/cluster
packages="containerd runc containernetworking-plugins busybox-static nftables libnftables1 libnftnl11 libmnl0 libjansson4 libxtables12"
# key WORD PATH...: changes when the word, a file's name or its content, or the kind of machine does.
key() { (cd "$kit" && { uname -m; echo "$1"; shift; [ $# = 0 ] || find "$@" -type f -exec sha256sum {} + | LC_ALL=C sort; } | sha256sum | cut -c1-16); }
debian=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${VERSION_ID:-}")
version=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "$kit/kubernetes/go.mod")
stamp="gitVersion=$version gitMajor=1 gitMinor=$(cut -d. -f2 <<<"$version")" # the server says which version it is, and clients ask
kubernetes=$cache/kubernetes-$(key "$stamp" kubernetes)         # kubernetes: every component, kubectl and etcd, by the first argument
node=$cache/node-$(key "$debian $packages")                     # Debian's packages, unpacked: containerd, runc, CNI plugins, nft
tool=$cache/tool-$(key "" tool)                                 # tool: what neither of them does
images=$cache/images-$(key "${node##*/} ${tool##*/}" build.sh images) # archives that containerd imports, and pause

export KUBECONFIG=$state/admin.kubeconfig KUBECACHEDIR=$state/kubectl
kubectl() { "$kubernetes/kubernetes" kubectl "$@"; }

# The first process of the cluster's process namespace, if it is alive and ours: the kernel may have given its number away.
first() {
    local pid exe
    read -r pid exe 2>/dev/null <"$state/first" || return 1
    case $(readlink "/proc/$pid/exe" 2>/dev/null) in
        "$exe"*) echo "$pid" ;; # "(deleted)" may follow
        *) return 1 ;;
    esac
}
must_be_up() { first >/dev/null || fail "the cluster is not up: run $kit/up"; }

# inside COMMAND...: in the cluster's mount, network and process namespaces.
# Never `ip netns exec`: it remounts /sys, and the cgroups vanish.
inside() { nsenter -t "$(first)" -m -n -p -- "$@"; }

# The client of containerd, of the namespace that the kubelet uses.
ctr() { inside "$node/usr/bin/ctr" -a "$state/run/containerd.sock" -n k8s.io "$@"; }

# The cluster's cgroup, in each hierarchy.
cgroups() {
    local folder
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo "/sys/fs/cgroup/$cgroup"
    else
        for folder in /sys/fs/cgroup/*/; do [ -L "${folder%/}" ] || echo "$folder$cgroup"; done
    fi
}

# start NAME: a component, as `up` said it is started; its log in log/NAME.log.
start() {
    local -a command
    eval "command=($(cat "$state/run/$1.command"))"
    setsid nsenter -t "$(first)" -m -n -p -- "${command[@]}" </dev/null >>"$state/log/$1.log" 2>&1 8>&- &
    echo $! >"$state/run/$1.pid"
    disown
}

# named [CASE...]: the cases of these names, or all, a line each
named() {
    local all name
    all=$(cd "$kit/cases" && for file in *.yaml; do case $file in *.then.yaml) ;; *) echo "${file%.yaml}" ;; esac done)
    for name in "$@"; do grep -qxF -- "$name" <<<"$all" || fail "no case $name; there are:" $all; done
    if [ $# -gt 0 ]; then printf '%s\n' "$@"; else echo "$all"; fi
}

# --- what a recording is made of ---

# objects NAMESPACE: one List of all that a snapshot looks at
objects() {
    kubectl -n "$1" get -o json pods,deployments,replicasets,statefulsets,controllerrevisions,daemonsets,jobs,cronjobs,services,endpointslices,ingresses,persistentvolumeclaims,horizontalpodautoscalers,resourcequotas,limitranges,configmaps,serviceaccounts,events
}

# about NAMESPACE FOLDER: nodes.json and namespace.json
about() {
    kubectl get nodes -o json | "$tool/tool" split "$2" ""
    kubectl get namespace "$1" -o json >"$2/namespace.json"
}

# logs NAMESPACE FOLDER [SELECTOR...]: the run that is, and the one before, of every container that has any
logs() {
    local namespace=$1 folder=$2 pod container
    shift 2
    kubectl -n "$namespace" get pods "$@" -o go-template='{{range .items}}{{$pod := .metadata.name}}{{range .spec.initContainers}}{{$pod}} {{.name}}{{"\n"}}{{end}}{{range .spec.containers}}{{$pod}} {{.name}}{{"\n"}}{{end}}{{end}}' |
        while read -r pod container; do
            one_log "$folder/logs/$namespace/$pod/$container.log" "$pod" -c "$container"
            one_log "$folder/logs/$namespace/$pod/$container.previous.log" "$pod" -c "$container" --previous
        done
}
one_log() { # FILE ARGUMENT...: there is no file where the API server has no log to give
    mkdir -p "${1%/*}"
    kubectl -n "$namespace" logs --timestamps "${@:2}" >"$1" 2>/dev/null </dev/null || { rm "$1"; rmdir --ignore-fail-on-non-empty "${1%/*}"; }
}
