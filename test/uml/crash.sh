# Death and a full disk at every step of a checkpoint: the guest or the old image is always usable. The steps are those the host sees (files of
# the image and of the fences made, written, synced, renamed, removed); before the first of them a guest is killed while guest processes
# are asked and while its tasks are being frozen.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
uml_disk
mem=128M
cp build/test/uml/fuse "$work/host/"
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
(
	exec 5<>/dev/vkckpt
	while :; do
		while [ ! -e /run/ask ]; do sleep 0.1; done
		echo subscribe >&5		# and gives no answer
		echo ASKED
		until grep -q notice /dev/vkckpt; do sleep 0.05; done
		echo NOTICE
		sleep 1000
	done
) &
i=0
case $(cat /proc/cmdline) in
*vkmode=ask*) touch /run/ask ;;
*vkmode=hang*)
	mkdir -p /run/fuse
	mount -t fusectl none /sys/fs/fuse/connections
	/run/host/fuse /run/fuse &
	until [ -e /run/fuse/hello ]; do sleep 0.1; done
	kill -STOP $!
	cat /run/fuse/slow &
	until [ "$(cat /sys/fs/fuse/connections/*/waiting)" -gt 0 ]; do sleep 0.1; done	# its request
	echo HUNG
	;;
esac
while sleep 0.1; do i=$((i + 1)); echo "TICK $i"; done
GUEST
chmod +x "$work/host/run.sh"
boot() {	# MODE: what the guest is to do
	uml_keep_log one
	"$linux" mem="$mem" umid=one vkckpt="$work/one.vkckpt" root=/dev/ubda rw init=/sbin/vkinit con=null con0=null,fd:1 ssl=null $quiet \
		ubd0="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh vkmode="$1" </dev/null >>"$work/one.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	uml_until one TICK 60
	uml_until_armed one
}
# steps enospc|kill N: the next checkpoint meets it at step N; what that step was, or "none", in $step
arm_step() {
	build/test/uml/hostcall "$1" "$2" "$pid" >"$work/step" 2>&1 &
	hostcall=$!
	i=0
	until grep -q ready "$work/step"; do i=$((i + 1)); [ $i -lt 2000 ]; sleep 0.05; done
}
met_step() {
	rc=0
	wait $hostcall || rc=$?
	step=none
	[ $rc -eq 3 ] || step=$(sed -n '$p' "$work/step")
	[ $rc -ne 2 ] || { cat "$work/step"; exit 1; }
}
ticks_on() {
	uml_keep_log one
	uml_until one TICK 30
}
leftovers() { ls "$work" | grep -E '\.(part|new|reserve)$' || true; }

# --- ENOSPC at step N: named, the guest runs on, the old image is the same byte for byte, nothing half-done lies about
boot plain
uml_suspend one
uml_thaw one
uml_until_armed one
old=$(sha256sum <"$work/one.vkckpt")
n=0 full= refused=0
while :; do
	n=$((n + 1))
	arm_step enospc $n
	suspended=1
	"$vkckpt" suspend one >"$work/out" 2>&1 || suspended=0
	met_step
	echo "ENOSPC at $step: $([ $suspended = 1 ] && echo suspended || cat "$work/out")"
	if [ $suspended = 1 ]; then
		rc=0; wait "$pid" || rc=$?
		[ $rc -eq 33 ]
		[ -z "$(leftovers)" ]
		uml_thaw one
		uml_until_armed one
		old=$(sha256sum <"$work/one.vkckpt")
	else
		refused=$((refused + 1))
		grep -q 'runs on.*ENOSPC' "$work/out"
		[ "$old" = "$(sha256sum <"$work/one.vkckpt")" ]
		[ -z "$(leftovers)" ]
	fi
	ticks_on
	[ "$step" != none ] || break
	full="$full$(echo "$step" | cut -d' ' -f2) "
	[ $n -lt 60 ]
done
for kind in create write sync rename; do case $full in *$kind*) ;; *) echo "no step '$kind' was met: $full"; exit 1 ;; esac; done
[ $refused -ge 8 ]
echo "note: ENOSPC at $((n - 1)) steps, $refused refused"

# --- a disk that is really full
mkdir "$work/small"
if mount -t tmpfs -o size=3M tmpfs "$work/small" 2>/dev/null; then
	uml_suspend one
	uml_thaw one vkckpt="$work/small/one.vkckpt"
	uml_until_armed one
	if "$vkckpt" suspend one 2>"$work/out"; then echo "an image of 6 MB in 3 MB?"; exit 1; fi
	grep -q ENOSPC "$work/out"
	ticks_on
	[ -z "$(ls "$work/small")" ]
	kill -9 "$pid"; wait "$pid" || true
	umount "$work/small"
else
	kill -9 "$pid"; wait "$pid" || true
fi

# --- killed at step N: the image is whole and thaws, or there is none and the disk boots
n=0 thawed=0 booted=0
boot plain
while :; do
	n=$((n + 1))
	rm -f "$work/one.vkckpt"
	: >"$work/one.vkckpt.part"		# as a death leaves it, so that the steps are the same ones each time
	arm_step kill $n
	"$vkckpt" suspend one >"$work/out" 2>&1 || true
	met_step
	rc=0; wait "$pid" || rc=$?
	echo "killed at $step: $rc, $(ls "$work" | tr '\n' ' ')"
	[ $rc -eq $([ "$step" = none ] && echo 33 || echo 137) ]
	uml_keep_log one
	if [ -f "$work/one.vkckpt" ]; then
		"$vkckpt" verify "$work/one.vkckpt" >/dev/null
		thawed=$((thawed + 1))
		uml_thaw one
		uml_until one TICK 30
		uml_until_armed one
	else
		booted=$((booted + 1))
		boot plain
	fi
	[ "$step" != none ] || break
	[ $n -lt 60 ]
done
[ $thawed -ge 3 ] || { echo "only $thawed deaths left an image"; exit 1; }
[ $booted -ge 8 ] || { echo "only $booted deaths came before the image"; exit 1; }
echo "note: killed at $((n - 1)) steps, $thawed thawed, $booted booted"
kill -9 "$pid"; wait "$pid" || true

# --- the same without a writable disk: what lies under the image's name is always the old image or the new one, and thaws
rm -f "$work/one.vkckpt" "$work/disk.img.vkckpt"
e2fsck -f -p "$work/disk.img" >/dev/null || [ $? -le 1 ]	# a journal cannot be replayed on it
"$linux" mem="$mem" umid=one vkckpt="$work/one.vkckpt" root=/dev/ubda ro init=/sbin/vkinit con=null con0=null,fd:1 ssl=null $quiet \
	ubd0r="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh </dev/null >"$work/one.log" 2>&1 &
pid=$!
pids="$pids $pid"
uml_until one TICK 60
uml_until_armed one
"$vkckpt" checkpoint one
n=0
while :; do
	n=$((n + 1))
	before=$(sha256sum <"$work/one.vkckpt")
	arm_step kill $n
	"$vkckpt" checkpoint one >"$work/out" 2>&1 || true
	met_step
	[ "$step" != none ] || break
	rc=0; wait "$pid" || rc=$?
	[ $rc -eq 137 ]
	case $step in *create*|*write*|*sync*part) [ "$before" = "$(sha256sum <"$work/one.vkckpt")" ] ;; esac
	"$vkckpt" verify "$work/one.vkckpt" >/dev/null
	uml_keep_log one
	uml_thaw one
	uml_until one TICK 30
	uml_until_armed one
	[ $n -lt 60 ]
done
kill -9 "$pid"; wait "$pid" || true
[ $n -ge 6 ]
echo "note: with the old image in its place at $((n - 1)) steps"

# --- killed before the first of these steps: while guest processes are asked, and while tasks are being frozen
rm -f "$work/one.vkckpt"
for phase in ask hang; do
	boot $phase
	uml_until one "$([ $phase = ask ] && echo ASKED || echo HUNG)" 30
	"$vkckpt" suspend one >"$work/out" 2>&1 &
	asker=$!
	if [ $phase = ask ]; then
		uml_until one NOTICE 10
	else
		i=0 at=none
		until [ "$at" = "$(tail -c 20 "$work/one.log")" ]; do	# frozen: no line in a second
			at=$(tail -c 20 "$work/one.log")
			i=$((i + 1))
			[ $i -lt 20 ]
			sleep 1
		done
	fi
	kill -0 "$pid"
	kill -9 "$pid"
	wait "$pid" || true
	if wait $asker; then echo "a guest that was killed was suspended, they say"; exit 1; fi
	cat "$work/out"
	[ ! -e "$work/one.vkckpt" ] || { echo "killed in phase $phase, and there is an image"; exit 1; }
	[ -z "$(leftovers)" ] || { echo "killed in phase $phase, it left $(leftovers)"; exit 1; }
done
boot plain
kill -9 "$pid"; wait "$pid" || true
e2fsck -f -p "$work/disk.img" >/dev/null || [ $? -le 1 ]
