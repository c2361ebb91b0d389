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
"$linux" mem=128M umid=view vkckpt="$work/view.vkckpt" vkckpt.action=continue vkckpt.chain=off root=/dev/ubda ro init=/sbin/vkinit con=null con0=null,fd:1 ssl=null $quiet \
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
	uml_keep_log view
	left=$((($(date +%s%N) - away) / 1000000))
	"$linux" thaw="$work/thaw$n.vkckpt" vkckpt="$work/next$n.vkckpt" </dev/null >>"$work/view.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	uml_until view '^END' 60
	grep -a '^CLOCKS\|^TIMER\|^SET\|^POLL\|^QUIET\|^BACK\|^RANDOM' "$work/view.log" | tee "$work/seen$n"
	passed=$((($(date +%s%N) - away) / 1000000))
	eval "$(sed -n 's/^CLOCKS //p' "$work/seen$n" | tr -d '\r')"
	# the wall and the boot clock went as far as the host's did, up to when the guest looked; the monotonic one only while it ran
	for clock in "real $real" "boot $boot"; do
		[ "${clock#* }" -ge $((left - 1000)) ] || { echo "$clock ms: less than the $left before the thaw"; exit 1; }
		[ "${clock#* }" -le $((passed + 1000)) ] || { echo "$clock ms: more than the $passed that have passed"; exit 1; }
	done
	[ "$mono" -lt $((passed - left + 10000)) ] || { echo "mono $mono ms, and it ran for $((passed - left))"; exit 1; }
	grep -a -q '^TIMER real=yes mono=no boot=yes' "$work/seen$n"
	for line in 'SET yes' 'POLL yes' 'QUIET yes' 'BACK 0'; do grep -a -q "^$line" "$work/seen$n"; done
	[ $n = 2 ] || { kill -9 "$pid"; wait "$pid" || true; }
done
random() { sed -n 's/^RANDOM \([0-9a-f]\{8,\}\) HWRNG [0-9a-f]\{8,\}.*/\1/p' "$1"; }
for n in 1 2; do [ "$(random "$work/seen$n" | wc -l)" = 1 ] || { echo "thaw $n has not one line RANDOM"; exit 1; }; done
[ "$(random "$work/seen1")" != "$(random "$work/seen2")" ] || { echo "two thaws with the same random numbers"; exit 1; }
if grep -a 'HWRNG 00000000' "$work/seen1" "$work/seen2"; then echo "the host gives the guest no random numbers"; exit 1; fi

# open files of the host; then the guest asks: success here, ESTALE and another generation in the thawed one
uml_until_armed view
touch "$work/host/ask"
uml_until view 'ASKED resumed' 60
grep -a FILES "$work/view.log" | grep 'aaaa bbbb'
[ "$(cat "$work/host/appended")" = "$(printf 'one\ntwo')" ] || { echo "not one and two:"; cat "$work/host/appended"; exit 1; }
waited=$(sed -n 's/.*ASKED resumed after \([0-9]*\) ms.*/\1/p' "$work/view.log")
[ "$waited" -ge 1900 ]		# the two seconds that an answer may take
kill -9 "$pid"; wait "$pid" || true
uml_keep_log view
for n in 3 4; do
	cp "$work/next2.vkckpt" "$work/thaw$n.vkckpt"
	"$linux" thaw="$work/thaw$n.vkckpt" </dev/null >>"$work/view.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	uml_until view "ASKED Stale" 60
	grep -a -o 'ASKED Stale.*generation=[0-9a-f]* thaws=2' "$work/view.log" >"$work/asked$n"
	cat "$work/asked$n"
	kill -9 "$pid"; wait "$pid" || true
	uml_keep_log view
done
if cmp -s "$work/asked3" "$work/asked4"; then echo "one image, thawed twice, with one generation"; exit 1; fi
