#!/usr/bin/env bash
# tools/packaging/Dockerfile on a fresh Debian: container.sh SOURCE. Needs root, buildah and debootstrap; minutes. The image
# of Debian is made of its packages, for registries may be out of reach. What runs in the container is a process of this
# machine (chroot), so no virtual machine or daemon is needed.
set -eu
source=$1
export STORAGE_DRIVER=vfs
for tool in buildah debootstrap; do
    command -v "$tool" >/dev/null || { echo "$tool is not here: apt-get install $tool"; exit 77; }
done
((EUID == 0)) || { echo "debootstrap needs root"; exit 77; }

work=$(mktemp -d)
base=epflow-debian:12 image=epflow-test container=
finish() {
    [[ -z $container ]] || buildah rm "$container" >/dev/null
    buildah rmi "$image" "$base" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT

debootstrap --variant=minbase bookworm "$work/debian" >"$work/log" || { tail -5 "$work/log" >&2; exit 1; }
container=$(buildah from scratch)
buildah add -q "$container" "$work/debian" / >/dev/null
buildah commit -q "$container" "localhost/$base" >/dev/null
buildah rm "$container" >/dev/null
container=

git clone -q "$source" "$work/source"
cd "$work/source"
buildah bud --isolation chroot -t "$image" --build-arg "BUILD=localhost/$base" --build-arg "RUN=localhost/$base" \
    --ignorefile tools/packaging/Dockerfile.dockerignore -f tools/packaging/Dockerfile . >"$work/log" 2>&1 ||
    { tail -20 "$work/log" >&2; exit 1; }

mkdir "$work/mine"
cp tests/pipeline/small.yaml "$work/mine"
container=$(buildah from "localhost/$image")
inside() { buildah run --isolation chroot -v "$work/mine:/work" "$container" -- "$@"; }
version=$(inside epflow --version)
[[ $version == *"$(git rev-parse --short=7 HEAD)"* ]] || { echo "the container has $version" >&2; exit 1; }
inside mpirun --oversubscribe -n 2 epflow run small.yaml --output out
inside epflow info out/evaluation.h5 | grep -q '^complete *yes'
