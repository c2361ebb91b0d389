# What only a guest without a writable disk can show, because its image thaws many times: the clocks after being away, timers of each clock, other
# random numbers in every thaw of one image, a checkpoint that a guest process asks for and that returns twice, a notice that nobody answers.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
cp build/test/uml/clocks "$work/host/"
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
mount -t hostfs -o "$(tr ' ' '\n' </proc/cmdline | sed -n 's/^vkhost=//p')" none /mnt
exec 6>>/mnt/appended 8<>/mnt/both
echo one >&6
read -r -n 4 -u 8 first
/run/host/clocks
until [ -e /mnt/ask ]; do sleep 0.1; done
echo two >&6
read -r -n 4 -u 8 second
echo "FILES $first $second"
exec 5<>/dev/vkckpt		# asked, and silent
echo subscribe >&5
begin=$(date +%s%N)
err=$( (echo checkpoint >/dev/vkckpt) 2>&1) && echo "ASKED resumed after $((($(date +%s%N) - begin) / 1000000)) ms" || echo "ASKED ${err##*: } $(head -n 1 /dev/vkckpt)"
sleep 1000
GUEST
chmod +x "$work/host/run.sh"
echo aaaabbbb >"$work/host/both"
uml_disk
"$linux" mem=128M umid=view vkckpt="$work/view.vkckpt" vkckpt.action=continue root=/dev/ubda ro init=/sbin/vkinit con=null con0=null,fd:1 ssl=null quiet \
	ubd0r="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh </dev/null >>"$work/view.log" 2>&1 &
pid=$!
pids="$pids $pid"
uml_until view WATCHING 60
uml_until_armed view
uml_suspend view
away=$(date +%s%N)
sleep 35
for n in 1 2; do
	cp "$work/view.vkckpt" "$work/thaw$n.vkckpt"
	: >"$work/view.log"
	left=$((($(date +%s%N) - away) / 1000000))
	"$linux" thaw="$work/thaw$n.vkckpt" vkckpt="$work/next$n.vkckpt" </dev/null >>"$work/view.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	uml_until view '^END' 60
	grep -a '^CLOCKS\|^TIMER\|^SET\|^POLL\|^QUIET\|^BACK\|^RANDOM' "$work/view.log" | tee "$work/seen$n"
	passed=$((($(date +%s%N) - away) / 1000000))
	eval "$(sed -n 's/^CLOCKS //p' "$work/seen$n" | tr -d '\r')"
	# the wall and the boot clock went as far as the host's did, up to when the guest looked; the monotonic one only while it ran
	[ "$real" -ge $((left - 1000)) ] && [ "$real" -le $((passed + 1000)) ]
	[ "$boot" -ge $((left - 1000)) ] && [ "$boot" -le $((passed + 1000)) ]
	[ "$mono" -lt $((passed - left + 10000)) ]
	grep -a -q '^TIMER real=yes mono=no boot=yes' "$work/seen$n"
	for line in 'SET yes' 'POLL yes' 'QUIET yes' 'BACK 0'; do grep -a -q "^$line" "$work/seen$n"; done
	[ $n = 2 ] || { kill -9 "$pid"; wait "$pid" || true; }
done
[ "$(sed -n 's/^RANDOM \([0-9a-f]*\).*/\1/p' "$work/seen1")" != "$(sed -n 's/^RANDOM \([0-9a-f]*\).*/\1/p' "$work/seen2")" ]
[ "$(grep -a -c '^RANDOM [0-9a-f]* HWRNG [0-9a-f]*' "$work/seen1")" = 1 ] && ! grep -a 'HWRNG 00000000' "$work/seen1" "$work/seen2"

# open files of the host; then the guest asks: success here, ESTALE and another generation in the thawed one
uml_until_armed view
touch "$work/host/ask"
uml_until view 'ASKED resumed' 60
grep -a FILES "$work/view.log" | grep 'aaaa bbbb'
[ "$(tail -n 1 "$work/host/appended")" = two ] && [ "$(head -n 1 "$work/host/appended")" = one ]
waited=$(sed -n 's/.*ASKED resumed after \([0-9]*\) ms.*/\1/p' "$work/view.log")
[ "$waited" -ge 1900 ]		# the two seconds that an answer may take
kill -9 "$pid"; wait "$pid" || true
: >"$work/view.log"
for n in 3 4; do
	cp "$work/next2.vkckpt" "$work/thaw$n.vkckpt"
	"$linux" thaw="$work/thaw$n.vkckpt" </dev/null >>"$work/view.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	uml_until view "ASKED Stale" 60
	grep -a 'ASKED Stale.*thaws=2' "$work/view.log" | tee "$work/asked$n"
	kill -9 "$pid"; wait "$pid" || true
	: >"$work/view.log"
done
! cmp -s "$work/asked3" "$work/asked4"		# one image, two generations
