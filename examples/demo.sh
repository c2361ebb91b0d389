#!/bin/sh
# examples/demo.sh: the main job, in words: a shell with several programs runs in a vkernel, is suspended by SIGCKPT into
# one file, its process is gone, and a new process goes on from the file. Ends with status 0 only if it really went on.
set -eu
cd "$(dirname "$0")/.."
bin=$(pwd)/build/bin
dir=$(mktemp -d)
export VKCKPT_RUNDIR="$dir/run"
vk=
cleanup() {
	[ -z "$vk" ] || kill -9 "$vk" 2>/dev/null || :
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
quote() { sed 's/^/    | /'; }
# Waits until the vkernel's console has said $1 at least $2 times.
await() {
	n=0
	until [ -f "$dir/console" ] && [ "$(grep -c -- "$1" "$dir/console")" -ge "$2" ]; do
		n=$((n + 1))
		if [ $n -gt 300 ]; then
			echo "demo: the guest never said \"$1\" ($2 times); its console:" >&2
			cat "$dir/console" >&2
			exit 1
		fi
		sleep 0.1
	done
}

cat >"$dir/guest" <<'EOF'
secret=$(dd if=/dev/urandom bs=8 count=1 2>/dev/null | sha256sum | cut -c1-16)
echo "guest: a secret that is only in my memory: $secret"
(i=0; while [ $i -lt 12 ]; do i=$((i+1)); echo "counter: $i"; sleep 0.4; done) &
(seq 1 60000 | awk '{ s = s + $1 * $1 % 7; print s }' | sort -rn | sha256sum | sed 's/^/pipeline: /') &
while sleep 0.7; do echo "ticker: uptime $(cut -d. -f1 /proc/uptime) s"; done &
ticker=$!
ps
wait %1 %2
kill $ticker
echo "guest: my secret is still $secret"
EOF

say "1. A vkernel boots: a Linux-like kernel in one ordinary process. In it a shell starts three programs."
"$bin/minivk" --name demo --image "$dir/demo.ckpt" --console "log:$dir/console" \
    -e "SCRIPT=$(cat "$dir/guest")" -- /bin/sh -c 'eval "$SCRIPT"' &
vk=$!
await '^counter: 3' 1
quote <"$dir/console"
"$bin/vkckpt" list | quote

say "2. SIGCKPT: it comes to a quiescent point, everything is written to one file, the process ends."
"$bin/vkckpt" suspend demo | quote
rc=0; wait $vk || rc=$?
vk=
if [ $rc -ne 33 ]; then echo "demo: the vkernel ended with $rc, not with 33 (suspended)" >&2; exit 1; fi
before=$(wc -l <"$dir/console")
secret=$(sed -n 's/.*only in my memory: //p' "$dir/console")

say "3. No vkernel runs now. What is left is a file, and it can be looked into."
"$bin/vkckpt" list | quote
"$bin/vkckpt" info "$dir/demo.ckpt" | quote
"$bin/vkckpt" vmspaces "$dir/demo.ckpt" | quote
"$bin/vkckpt" verify "$dir/demo.ckpt" | quote

say "4. A new process thaws it, and every program goes on where it stopped."
rc=0
"$bin/minivk" --thaw "$dir/demo.ckpt" --console "log:$dir/console2" || rc=$?
cat "$dir/console2" >>"$dir/console"
quote <"$dir/console2"

if [ $rc -eq 0 ] && [ -n "$secret" ] && grep -q "my secret is still $secret" "$dir/console2" &&
    grep -q '^counter: 12' "$dir/console2" && ! grep -q '^counter: 1$' "$dir/console2" &&
    [ "$(grep -c '^pipeline: ' "$dir/console")" -eq 1 ]; then
	say "It went on: the counter continued, the pipeline finished once, and the shell still knows its secret."
	echo "Lines before the suspend: $before, after: $(wc -l <"$dir/console2"). Try it by hand: make play"
else
	echo "demo: the thawed vkernel did not go on as it should (status $rc)" >&2
	exit 1
fi
