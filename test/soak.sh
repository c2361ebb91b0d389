#!/bin/sh
# test/soak.sh [CYCLES [UML-CYCLES]]: what takes too long for make test. A shell job under load that is suspended and thawed at random
# moments until there were CYCLES (1000) of them, each run's output compared with that of an undisturbed run; User Mode Linux: the survivor
# under I/O stress through UML-CYCLES (200), through a quarter of that lazily in a chain, services under load through a quarter, every combination
# of the ways to write and to thaw an image, the tests of test/uml/deep; then the oracle at every trap of the long programs, and over the same
# combinations. SOAK_SEED=N: the same moments again.
set -eu
cd "$(dirname "$0")/.."
cycles=${1:-1000}
uml_cycles=${2:-200}
bin=$(pwd)/build/bin
dir=$(mktemp -d)
vk=
trap '[ -z "$vk" ] || kill -9 $vk 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
export VKCKPT_RUNDIR="$dir/run"

job='echo begin $NONCE; mkdir /tmp/a; i=0; while [ $i -lt 40 ]; do i=$((i+1)); seq $i 400 | awk "{ s += \$1 * $i; print s }" | sort -rn |
tee /tmp/a/$i | sha256sum; done; (cd /tmp && tar cf - a | gzip -9 | gunzip | tar tf - | sort | sha256sum); cat /tmp/a/* | sha256sum; echo end $NONCE'

# boot OUT SIGNAL-MASK...: the job from its start; leg: from the image
boot() { "$bin/minivk" -n 2 --name soak --image "$dir/soak.ckpt" -e "NONCE=$1" --console "log:$2" -- /bin/sh -c "$job" 2>>"$dir/said"; }

boot plain "$dir/plain"
seed=${SOAK_SEED:-$(date +%s)}
began=$(date +%s)
echo "== $cycles suspends at random moments (SOAK_SEED=$seed)"
done_cycles=0 runs=0
while [ "$done_cycles" -lt "$cycles" ]; do
	runs=$((runs + 1))
	rm -f "$dir/out"
	boot "plain" "$dir/out" & vk=$!
	while :; do
		seed=$(( (seed * 1103515245 + 12345) % 2147483648 ))
		sleep "0.$(printf %03d $((20 + seed / 65536 % 300)))"
		rc=33
		"$bin/vkckpt" suspend soak >/dev/null 2>"$dir/err" || rc=0
		status=0; wait $vk || status=$?
		vk=
		if [ $status -eq 33 ]; then
			done_cycles=$((done_cycles + 1))
			[ $((done_cycles % 100)) -ne 0 ] || echo "   $done_cycles after $(($(date +%s) - began)) s"
		elif [ $status -eq 0 ]; then
			break	# it had ended, or ended before it was asked
		else
			echo "soak: run $runs ended with status $status after $done_cycles suspends: $(cat "$dir/err"; tail -n 3 "$dir/said")" >&2
			exit 1
		fi
		[ $rc -eq 33 ] || { echo "soak: suspended, but vkckpt said: $(cat "$dir/err")" >&2; exit 1; }
		"$bin/minivk" --thaw "$dir/soak.ckpt" --console "log:$dir/out" 2>>"$dir/said" & vk=$!
	done
	if ! cmp -s "$dir/plain" "$dir/out"; then
		echo "soak: run $runs differs from an undisturbed one:" >&2
		diff "$dir/plain" "$dir/out" >&2 || :
		exit 1
	fi
done
echo "soak: $done_cycles suspends and thaws in $runs runs, every output equal to that of an undisturbed run"

echo "figure: soak-minivk-cycles $done_cycles" >build/soak.figures	# for test/figures.sh

echo "== User Mode Linux"
LIMIT=20000 CYCLES=$uml_cycles sh test/uml/run.sh cycles
echo "figure: soak-uml-cycles $uml_cycles" >>build/soak.figures
LIMIT=20000 CYCLES=$((uml_cycles / 4)) sh test/uml/run.sh lazy network	# a lazy cycle takes several times as long as one of the first
LIMIT=20000 ORACLE_DEEP=1 sh test/uml/run.sh matrix test/uml/deep/*.sh

echo "== the real programs, killed and stopped at every passing of every named fault point"
CRASH_DEEP=1 build/test/e2e/run '[crash]'

echo "== the oracle at every trap, and however an image is written and thawed"
ORACLE_DEEP=1 build/test/e2e/run '*survive*'
ORACLE_DEEP=1 build/test/e2e/run '[matrix]'
