#!/usr/bin/env bash
# Builds Gitea from Go modules into the cache, once for the same inputs, and prints the folder: gitea and its assets.
# Where it cannot be built, exits 1 with the reason on standard error.
set -euo pipefail
kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubecure/forge
key=$(cd "$kit" && { uname -m; sha256sum go.mod go.sum build.sh; } | sha256sum | cut -c1-16)
place=$cache/gitea-$key
if [ ! -d "$place" ]; then
    command -v go >/dev/null || { echo "Go is not installed" >&2; exit 1; }
    command -v cc >/dev/null || { echo "no C compiler is installed: Gitea's SQLite needs one" >&2; exit 1; }
    mkdir -p "$cache"
    exec 9>"$cache/lock" # a second builder waits for the first, and then finds its work done
    flock 9
fi
if [ ! -d "$place" ]; then
    echo "building Gitea from Go modules: about four minutes on two cores when nothing is cached" >&2
    new=$place.new
    rm -rf "$new" && mkdir -p "$new"
    cd "$kit"
    export GOVCS='*:off' GOWORK=off GOFLAGS='-buildvcs=false -mod=readonly' CGO_ENABLED=1 CGO_CFLAGS="-O1 -DSQLITE_MAX_VARIABLE_NUMBER=32766"
    version=$(go list -m -f '{{.Version}}' code.gitea.io/gitea)
    nice -n 10 go build -trimpath -tags 'sqlite sqlite_unlock_notify' \
        -ldflags "-s -w -X main.Version=${version#v}" -o "$new/gitea" code.gitea.io/gitea >&2
    # Templates and locales as they are in the module; there are no web assets, and nobody looks.
    cp -r "$(go list -m -f '{{.Dir}}' code.gitea.io/gitea)"/{templates,options,public} "$new/"
    chmod -R u+w "$new"
    mv -T "$new" "$place"
fi
echo "$place"
