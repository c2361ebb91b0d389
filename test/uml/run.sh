#!/bin/sh
# test/uml/run.sh [TEST...]: the tests of User Mode Linux, each a script of its own in this folder; exit 77 is "skipped". After `make uml uml-guest`.
# UML_VARIANT: with the kernel of that variant (build.sh); the tests in variants/ are only for theirs.
# deep/NAME names one of those that take long (make soak runs them). Nothing of a test stays on the host, also when it is interrupted.
set -u
cd "$(dirname "$0")/../.." || exit 1
[ -x "build/uml/${UML_VARIANT:+$UML_VARIANT/}linux" ] && [ -f build/uml/debian.img ] || { echo "make uml uml-guest first" >&2; exit 1; }
mkdir -p build/test/uml
for c in test/uml/guests/*.c; do
	o=build/test/uml/$(basename "${c%.c}")
	[ "$o" -nt "$c" ] || cc -O1 -Wall -static -pthread -o "$o" "$c" -lm || exit 1
done
o=build/test/uml/forge
[ $o -nt test/uml/forge.cc ] && [ $o -nt build/lib/libvkckpt.a ] ||
	c++ -O1 -Wall -std=c++20 -Iinclude -I. -o $o test/uml/forge.cc test/fuzz/image_model.cc build/lib/libvkckpt.a || exit 1
[ $# -gt 0 ] || set -- test/uml/[a-z]*.sh
temporary=$(mktemp -d "${TMPDIR:-/tmp}/vkumltest.XXXXXX") && chmod 755 "$temporary" || exit 1
guard=
trap 'rm -rf "$temporary"' EXIT
trap '[ -z "$guard" ] || { kill "$guard"; wait "$guard"; }; echo "interrupted"; exit 130' INT TERM HUP
export TMPDIR="$temporary"
passed=0 failed=0 skipped=0 failures=
for t in "$@"; do
	case $t in *.sh) ;; *) t=test/uml/$t.sh ;; esac
	[ "$t" = test/uml/run.sh ] && continue
	name=$(basename "$t" .sh)
	began=$(date +%s)
	build/test/uml/guard "${LIMIT:-600}" sh "$t" >"build/test/uml/$name.log" 2>&1 </dev/null &
	guard=$!
	wait $guard
	rc=$?
	guard=
	rm -rf "$temporary"/vkuml.*
	took=$(($(date +%s) - began))
	case $rc in
	0) passed=$((passed + 1)); echo "ok       $name ($took s)  $(grep -a '^note: ' "build/test/uml/$name.log" | sed 's/^note: //' | tr '\n' ' ')" ;;
	77) skipped=$((skipped + 1)); echo "skipped  $name: $(tail -n 1 "build/test/uml/$name.log")" ;;
	*) failed=$((failed + 1)) failures="$failures $name"; echo "FAIL     $name ($took s, status $rc); the end of build/test/uml/$name.log:"
		tail -n 25 "build/test/uml/$name.log" | cut -c1-300 | sed 's/^/    /'
		echo "    repeat: test/uml/run.sh $t" ;;
	esac
done
# what failed once more, briefly: the end of a long run is what is read
for name in $failures; do
	echo "failed: $name"
	tail -n 6 "build/test/uml/$name.log" | cut -c1-200 | sed 's/^/    /'
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
