#!/bin/sh
# test/bench/run.sh: the benchmark, in a folder below build so that both sides use the same disk.
set -eu
cd "$(dirname "$0")/../.."
dir=build/bench
rm -rf "$dir"
mkdir -p "$dir/root"
cp build/test/guests/fill "$dir/root/"
build/test/bench/run "$dir"
rm -f "$dir"/raw* "$dir"/*.ckpt
