#!/bin/sh
# test/fuzz/libfuzzer.sh BUILD [TARGET...]: gives each target to libFuzzer for FUZZ_SECONDS (make fuzz). What is found lies in BUILD/found; the
# corpus that grows, in BUILD/corpus/TARGET, is where the next run goes on.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$1
shift
seconds=${FUZZ_SECONDS:-60}
[ $# -gt 0 ] || set -- $(sed -n 's/^	{ "\([a-z0-9]*\)", fuzz_.*/\1/p' test/fuzz/fuzz.h)
mkdir -p "$build/found"
status=0
for target in "$@"; do
	mkdir -p "$build/corpus/$target"
	log=$build/found/$target.log
	if VKCKPT_FUZZ=$target "$build/test/fuzz/libfuzzer" -max_total_time="$seconds" -max_len=131072 -timeout=25 -rss_limit_mb=4096 \
	    -print_final_stats=1 -artifact_prefix="$build/found/$target-" "$build/corpus/$target" "test/fuzz/corpus/$target" >"$log" 2>&1; then
		awk -v target="$target" '/stat::number_of_executed_units/ { runs = $2 } /stat::average_exec_per_sec/ { rate = $2 }
		    / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
		    END { printf "fuzz: %-8s %10d inputs, %6d a second, %5d edges, no finding\n", target, runs, rate, cov }' "$log"
	else
		status=1
		echo "fuzz: $target: a finding; the log is $log"
		tail -n 30 "$log"
		echo "repeat: VKCKPT_FUZZ=$target $build/test/fuzz/libfuzzer $build/found/$target-..."
	fi
done
exit $status
