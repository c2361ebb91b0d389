#!/bin/sh
# test/figures.sh: what the tests have tried, in numbers (make figures). A test says "figure: NAME NUMBER" of what it has just done. The short
# ones run now; of the long ones the last run is shown, and "-" where there was none. Fails when a test fails.
set -u
cd "$(dirname "$0")/.." || exit 1
status=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

# show FILE COMMAND: the figures that FILE has
show() { sed -n 's/^figure: //p' "$1" | while read -r name number; do printf '%-36s %14s   %s\n' "$name" "$number" "$2"; done; }
# now COMMAND...: runs it
now() {
	if "$@" >"$log" 2>&1; then
		show "$log" "$*"
	else
		tail -n 20 "$log"
		echo "failed: $*"
		status=1
	fi
}
# last FILE COMMAND: what an earlier run of it has left
last() {
	if [ -s "$1" ]; then show "$1" "$2, $(date -r "$1" '+%Y-%m-%d %H:%M')"; else printf '%-36s %14s   %s\n' "${1##*/}" - "$2: not run yet"; fi
}

printf '%-36s %14s   %s\n' figure number "counted by"
last build/coverage/figures "make coverage"
. test/fuzz/sources.sh
sources=$(fuzz_sources) || exit 1
for target in $(build/test/fuzz/run --list); do
	count=$(cat "build/fuzz-long/$target" 2>/dev/null || echo -) by="make fuzz-long"
	if [ "$count" != - ] && [ "$(cat "build/fuzz-long/$target.of" 2>/dev/null)" != "$sources" ]; then
		count=- by="make fuzz-long: not run yet, but of other sources"
	elif [ -e "build/fuzz-long/$target.log" ]; then
		by="make fuzz-long: A FINDING, build/fuzz-long/$target.log"
	fi
	printf '%-36s %14s   %s\n' "fuzz-$target-inputs" "$count" "$by"
done
now build/test/unit/run "[damage],[seal]"
now build/test/fault/run "[points],[power],[explorer]"
now build/test/e2e/run "[crash]"
last build/explore.log "make explore"
last build/soak.figures "make soak"
exit $status
