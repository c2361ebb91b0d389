#!/bin/sh
# test/bench/run.sh [quick|check|baseline]: the benchmark, in a folder below build so that all sides use the same disk. quick: a look, with
# small sizes and two runs (also BENCH=quick; BENCH_RUNS=N: so many runs); check: held against the bars and test/bench/baseline.tsv; baseline: writes that file anew.
set -eu
cd "$(dirname "$0")/../.."
mode=${1:-${BENCH:-bench}}
dir=build/bench
content=build/bench-content
sh test/bench/content.sh $content
rm -rf $dir
mkdir -p $dir/root $dir/small
for folder in root small; do
	for guest in fill children; do cp build/test/guests/$guest $dir/$folder/; done
done
# Pieces from all over the guest's memory, 64 KiB each: 96 MiB, and 12 MiB for small guests.
build/test/bench/run sample $content $dir/root/content 96
build/test/bench/run sample $content $dir/small/content 12
status=0
case $mode in
quick) build/test/bench/run bench $dir quick || status=$? ;;
bench) build/test/bench/run bench $dir || status=$? ;;
*) build/test/bench/run "$mode" $dir test/bench/baseline.tsv || status=$? ;;
esac
rm -rf $dir/raw* $dir/*.ckpt $dir/*.image $dir/root $dir/small
exit $status
