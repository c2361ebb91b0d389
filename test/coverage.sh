#!/bin/sh
# test/coverage.sh FOLDER: runs the unit, fault and fuzz tests of a build with --coverage (make coverage) and prints, for each file of the
# library, lines and branches executed. Fails when less than NEED percent (95) of the branches of the reader's files were taken. A line with a
# VK_CHECK does not count: its other branch is a bug of ours, not an input. FOLDER/coverage/*.gcov shows what is missing ("branch N taken 0").
# ONLY_REPORT=1: of the runs before. GCOV: the compiler's (gcov).
set -u
cd "$(dirname "$0")/.." || exit 1
folder=$1
NEED=${NEED:-95}
# What stands between an image, a sidecar or a page table and its use.
reader="input.cc image_check.cc image_head.cc image_reader.cc image_file.cc image_open.cc image_verify.cc image_walk.cc source.cc codec.cc chain.cc seal.cc
	leaves.cc sidecar.cc walk.cc walk_formats.cc"
log=$folder/coverage.log
if [ -z "${ONLY_REPORT:-}" ]; then
	find "$folder" -name '*.gcda' -exec rm -f {} +
	: >"$log"
	for run in "$folder/test/unit/run" "$folder/test/fault/run" "$folder/test/fuzz/run test/fuzz/corpus 20000"; do
		echo "== $run"
		# shellcheck disable=SC2086
		$run >>"$log" 2>&1 || { echo "coverage: $run failed; see $log"; exit 1; }
	done
fi
out=$folder/coverage
rm -rf "$out"
mkdir -p "$out"
for data in "$folder"/lib/*.gcda; do
	"${GCOV:-gcov}" -b -c -r -t "$data" >"$out/$(basename "${data%.gcda}").cc.gcov" 2>/dev/null
done
awk -v reader="$reader" -v need="$NEED" -v figures="$folder/figures" '
	BEGIN { n = split(reader, r); for (i = 1; i <= n; i++) is_reader[r[i]] = 1 }
	/^ *-: *0:Source:/ {
		keep = /Source:lib\/[a-z0-9_]*\.cc$/
		file = $0
		sub(/.*\//, "", file)
		next
	}
	!keep { next }
	/^branch/ { if (!check) { count[file]++; taken[file] += $3 == "taken" && $4 > 0 } next }
	/^ *[0-9#=-]+\*?:/ {
		check = /VK_CHECK\(/
		if ($0 ~ /^ *-:/)
			next
		lines[file]++
		run[file] += $0 !~ /^ *[#=]+:/
	}
	END {
		printf "%-20s %8s %8s %10s %10s\n", "file", "lines", "", "branches", ""
		for (f in lines)
			printf "%-20s %7.1f%% %8d %9.1f%% %10d%s\n", f, 100 * run[f] / lines[f], lines[f], count[f] ? 100 * taken[f] / count[f] : 100,
			    count[f], (f in is_reader) ? "  reader" : "" | "sort"
		close("sort")
		for (f in is_reader) { all += count[f]; hit += taken[f] }
		percent = all ? 100 * hit / all : 0
		printf "coverage: %.1f %% of the %d branches of the reader were taken (%d %% are asked for)\n", percent, all, need
		printf "figure: coverage-reader-percent %.1f\nfigure: coverage-reader-branches %d\n", percent, all >figures
		exit percent < need
	}' "$out"/*.gcov
