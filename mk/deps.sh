#!/bin/sh
# mk/deps.sh [bench|fuzz]: installs the Debian packages that are missing (build, tests, demo; with bench: the peers, too; with fuzz: a compiler
# with libFuzzer).
set -eu
cd "$(dirname "$0")/.."
say() { echo "deps: $*"; }
. mk/need.sh
need g++ make libbsd-dev libmd-dev libxxhash-dev liblz4-dev lz4 libsodium-dev catch2 busybox-static mandoc pkg-config cpio systemd xfsprogs iproute2
[ "${1:-}" != bench ] || need zstd qemu-system-x86 criu
[ "${1:-}" != fuzz ] || need clang libclang-rt-14-dev
