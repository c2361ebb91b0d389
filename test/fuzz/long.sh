#!/bin/sh
# test/fuzz/long.sh RUN INPUTS FOLDER [TARGET...]: gives INPUTS inputs to every target (make fuzz-long) and prints a table of targets, inputs
# and findings. What has run is remembered in FOLDER/TARGET, so that a run that was ended goes on where it was; a finding is kept in
# FOLDER/TARGET.log with the command that repeats it, and the target is not run further. Beside each is the digest of the sources that it
# was of (FOLDER/TARGET.of): where they have changed, the target begins anew.
set -u
cd "$(dirname "$0")/../.." || exit 1
run=$1 inputs=$2 folder=$3
shift 3
[ $# -gt 0 ] || set -- $("$run" --list)
STEP=${STEP:-100000}
mkdir -p "$folder"

. test/fuzz/sources.sh
sources=$(fuzz_sources) || exit 1

is_current() { [ "$(cat "$folder/$1.of" 2>/dev/null)" = "$sources" ]; }
done_of() { is_current "$1" && cat "$folder/$1" 2>/dev/null || echo 0; }
for target in "$@"; do
	if ! is_current "$target"; then
		[ ! -e "$folder/$target" ] && [ ! -e "$folder/$target.log" ] || echo "$target: the sources have changed, it begins anew"
		rm -f "$folder/$target" "$folder/$target.log" && echo "$sources" >"$folder/$target.of" || exit 1
	fi
	while [ ! -e "$folder/$target.log" ] && at=$(done_of "$target") && [ "$at" -lt "$inputs" ]; do
		count=$((inputs - at < STEP ? inputs - at : STEP))
		if "$run" test/fuzz/corpus "$count" "$target" "$at" >"$folder/$target.part" 2>&1; then
			echo $((at + count)) >"$folder/$target.new" && mv "$folder/$target.new" "$folder/$target"
			rm -f "$folder/$target.part"
		else
			rc=$?
			[ $rc -ne 143 ] && [ $rc -ne 130 ] || exit $rc	# ended by a person
			mv "$folder/$target.part" "$folder/$target.log"
		fi
	done
done

status=0
printf '%-10s %12s  %s\n' target inputs findings
for target in $("$run" --list); do
	findings=none
	if is_current "$target" && [ -e "$folder/$target.log" ]; then
		findings="one: $folder/$target.log"
		status=1
	fi
	printf '%-10s %12d  %s\n' "$target" "$(done_of "$target")" "$findings"
done
exit $status
