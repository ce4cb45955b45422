#!/usr/bin/env bash
# Builds what the cluster is made of, into the cache. What is there already is not built again.
#
#   ./build.sh          quiet; minutes when cold, a moment else
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# One binary with every Kubernetes component, kubectl and etcd, from Go modules.
build_kubernetes() {
    say "building Kubernetes from Go modules: about ten minutes on two cores when nothing is cached"
    local flags="-s -w" module word
    for module in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        for word in $stamp; do flags+=" -X $module.$word"; done
    done
    go_build "$kit/kubernetes" "$1/kubernetes" -ldflags "$flags"
}

build_tool() { go_build "$kit/tool" "$1/tool"; }

go_build() { # FOLDER OUT ARGUMENT...
    (cd "$1" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-buildvcs=false nice -n 10 go build -trimpath -o "$2" "${@:3}" .)
}

# Debian's packages, unpacked and not installed: the machine stays as it is.
build_node() {
    local debs=$1/debs deb
    mkdir "$debs"
    download() { (cd "$debs" && apt-get -qq -o APT::Sandbox::User=root download $packages); }
    if ! download >"$1/apt.log" 2>&1; then # the lists are old, or there are none
        apt-get -qq update >>"$1/apt.log" 2>&1 && download >>"$1/apt.log" 2>&1 || { cat "$1/apt.log" >&2; return 1; }
    fi
    for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$1"; done
    rm -r "$debs" "$1/apt.log"
}

# Image archives without a registry and without docker.
build_images() {
    local program links=() name busybox=$node/bin/busybox
    [ -x "$busybox" ] || busybox=$node/usr/bin/busybox
    for program in pause hog segv; do cc -static -O0 -s -o "$1/$program" "$kit/images/$program.c"; done
    for name in sh ash cat echo ls sleep true false env id date grep head tail wget nc httpd nslookup ps printf seq test touch mkdir rm kill sync dd hostname; do
        links+=("/bin/$name->busybox")
    done
    # The same image under the names of releases, so that a first revision can run and a mistyped second one cannot be pulled.
    local shop=demo.local/shopd:1,registry.shop.example/shop/checkout:v2.1.0
    for name in web payments catalog search recommendations orders report mailer; do shop+=,registry.shop.example/shop/$name:v1.4.2; done
    "$tool/tool" image "$1/pause.tar" demo.local/pause:1 /pause "$1/pause=/pause"
    "$tool/tool" image "$1/busybox.tar" demo.local/busybox:1.35,localhost:5000/shop/web:v1.4.2 "" \
        "$busybox=/bin/busybox" "$1/hog=/bin/hog" "$1/segv=/bin/segv" "${links[@]}"
    "$tool/tool" image "$1/shopd.tar" "$shop" /bin/shopd "$busybox=/bin/busybox" "$1/hog=/bin/hog" "$kit/images/shopd=/bin/shopd" "${links[@]}"
}

# part NAME FOLDER: builds into a folder beside it, which takes the name once it is whole.
part() {
    [ -d "$2" ] && return
    new=$2.new
    rm -rf "$new"
    mkdir "$new"
    "build_$1" "$new"
    mv -T "$new" "$2"
}

for folder in "$kubernetes" "$node" "$tool" "$images"; do [ -d "$folder" ] || missing=1; done
[ -n "${missing:-}" ] || exit 0
"$kit/can-run" build
mkdir -p "$cache"
exec 9>"$cache/lock" # a second builder waits for the first, and then finds its work done
flock 9
part tool "$tool"
part node "$node"
part images "$images"
part kubernetes "$kubernetes"
