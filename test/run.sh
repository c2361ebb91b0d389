#!/bin/sh
# test/run.sh [SUITE...]: runs the tests that `make test` built and adds up what passed, failed and was skipped.
# Suites: unit fault fuzz abi shell vmspace man e2e user (e2e once more as an ordinary user, when this is root; without the deaths at
# named points, in which a user has no part).
set -u
cd "$(dirname "$0")/.." || exit 1
B=build
[ $# -gt 0 ] || set -- unit fault fuzz abi shell vmspace man e2e user
results=$(mktemp) || exit 1
log=$(mktemp) || exit 1
failed=$(mktemp) || exit 1
trap 'rm -f "$results" "$log" "$failed"' EXIT
export TEST_RESULT="$results"
status=0

# one NAME COMMAND...: a suite that is a single program without counts of its own
one() {
	name=$1; shift
	echo "== $name"
	if "$@"; then echo "$name 1 0 0" >>"$results"; else echo "$name 0 1 0" >>"$results"; echo "repeat: $*" | tee -a "$failed"; fi
}
# failures: what the log says of every failed check, once more at the end of the run
failures() { grep -E -A 5 'FAILED:$|^repeat:' "$log" >>"$failed"; }
compact() { grep -E '^(skipped|figure):' "$log"; tail -n 3 "$log" | grep -v '^figure:'; }
# catch PROGRAM: a Catch2 program; it writes its own counts, dying without them is a failure
catch() {
	echo "== $1"
	before=$(wc -l <"$results")
	"$@" >"$log" 2>&1
	rc=$?
	# compact on success: only what was skipped, what was counted (test/figures.sh) and the last lines
	if [ $rc -eq 0 ]; then compact; else cat "$log"; fi
	[ "$(wc -l <"$results")" -gt "$before" ] || { echo "$1 ended with status $rc and no result" | tee -a "$failed"; echo "$1 0 1 0" >>"$results"; }
	[ $rc -eq 0 ] || { failures; status=1; }
}

# The e2e programs use paths below the current folder, so a copy that anyone can read serves the ordinary user.
as_user() {
	echo "== e2e as an ordinary user"
	if [ "$(id -u)" -ne 0 ]; then
		echo "   (this is one already)"
		return
	fi
	copy=$(mktemp -d) && chmod 755 "$copy" || return 1
	mkdir -p "$copy/build/test"
	cp -R $B/bin $B/lib "$copy/build/"
	cp -R $B/test/e2e $B/test/guests "$copy/build/test/"
	cp -R test examples mk man include lib vkernel-hooks bin Makefile "$copy/"
	mkdir -p "$copy/build/vkernel-hooks/linux" "$copy/build/vkernel-hooks/sodium"
	cp $B/vkernel-hooks/linux/libvmspace.a "$copy/build/vkernel-hooks/linux/"
	cp $B/vkernel-hooks/sodium/libvkckpt-sodium.a "$copy/build/vkernel-hooks/sodium/"
	chown -R nobody "$copy"
	before=$(wc -l <"$results")
	: >"$log"
	(cd "$copy" && setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups --inh-caps=-all \
		env HOME="$copy" TMPDIR="$copy" TEST_RESULT="$copy/result" XDG_RUNTIME_DIR= \
		build/test/e2e/run "~[crash]" >"$log" 2>&1)
	rc=$?
	if [ $rc -eq 0 ]; then compact; else cat "$log"; failures; status=1; fi
	if [ -s "$copy/result" ]; then cat "$copy/result" >>"$results"; else echo "user 0 1 0" >>"$results"; fi
	rm -rf "$copy"
}

for suite in "$@"; do
	case $suite in
	fuzz) one fuzz $B/test/fuzz/run test/fuzz/corpus ;;
	abi) for t in test/abi/*.sh; do one "$t" sh "$t"; done ;;
	shell) one shell sh test/shell.sh ;;
	man) one man mandoc -Tlint -Wwarning man/*.[1-8]; one man-examples sh test/man_examples.sh ;;
	user) as_user ;;
	*) catch $B/test/"$suite"/run ;;
	esac
done

echo
if [ -s "$failed" ]; then
	echo "what failed:"
	cat "$failed"
	echo
fi
awk '{ p += $2; f += $3; s += $4 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 || p == 0 }' "$results" || status=1
exit $status
