#!/bin/sh
# test/checked.sh FOLDER: runs the unit, fault and fuzz tests of a build with sanitizers (make test-asan). A finding ends the
# program.
set -u
cd "$(dirname "$0")/.." || exit 1
folder=$1
# The fault tests end simulated processes in the middle of what they do: what those had is not given back.
export ASAN_OPTIONS="${ASAN_OPTIONS:-allocator_may_return_null=1:detect_leaks=0}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
status=0
one() {
	echo "== $*"
	"$@" || { echo "failed: $*"; status=1; }
}
one "$folder/test/unit/run"
one "$folder/test/fault/run"
one "$folder/test/fuzz/run" test/fuzz/corpus 1000
exit $status
