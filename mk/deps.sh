#!/bin/sh
# mk/deps.sh [bench|fuzz]: installs the Debian packages that are missing (build, tests, demo; with bench: the peers, too; with fuzz: a compiler
# with libFuzzer); says what it does, and does nothing when all are there.
set -eu
need="g++ make libbsd-dev libmd-dev libxxhash-dev liblz4-dev lz4 libsodium-dev catch2 busybox-static mandoc pkg-config cpio systemd xfsprogs iproute2"
[ "${1:-}" != bench ] || need="$need zstd qemu-system-x86 criu"
[ "${1:-}" != fuzz ] || need="$need clang libclang-rt-14-dev"
missing=
for p in $need; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
	echo "deps: these packages are missing and only root can install them:$missing" >&2
	echo "deps: run: sudo apt-get install$missing" >&2
	exit 1
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086
apt-get install -q -y --no-install-recommends $missing
