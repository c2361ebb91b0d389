#!/bin/sh
# test/fuzz/long.sh RUN INPUTS FOLDER [TARGET...]: gives INPUTS inputs to every target (make fuzz-long) and prints a table of targets, inputs
# and findings. What has run is remembered in FOLDER/TARGET, so that a run that was ended goes on where it was; a finding is kept in
# FOLDER/TARGET.log with the command that repeats it, and the target is not run further. FOLDER is of one state of the sources: remove it to
# begin again.
set -u
cd "$(dirname "$0")/../.." || exit 1
run=$1 inputs=$2 folder=$3
shift 3
[ $# -gt 0 ] || set -- $("$run" --list)
STEP=${STEP:-100000}
mkdir -p "$folder"

done_of() { cat "$folder/$1" 2>/dev/null || echo 0; }
for target in "$@"; do
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
	if [ -e "$folder/$target.log" ]; then
		findings="one: $folder/$target.log"
		status=1
	fi
	printf '%-10s %12d  %s\n' "$target" "$(done_of "$target")" "$findings"
done
exit $status
