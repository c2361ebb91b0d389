# kill -9 at any moment of a checkpoint, and a full disk: the guest, or the old image, is always usable; then as an ordinary user.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
uml_disk
printf '#!/bin/sh\nhead -c 60000000 /dev/urandom >/dev/shm/fill\ni=0\nwhile sleep 0.1; do i=$((i + 1)); echo "TICK $i"; done\n' >"$work/host/run.sh"
chmod +x "$work/host/run.sh"
uml_boot one ubd0="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh
uml_until one TICK 60

# no room: refused with the reason, the guest runs on
mkdir "$work/small"
if mount -t tmpfs -o size=8M tmpfs "$work/small" 2>/dev/null; then
	uml_suspend one
	: >"$work/one.log"
	"$linux" thaw="$work/one.vkckpt" vkckpt="$work/small/one.vkckpt" </dev/null >>"$work/one.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	uml_until one TICK 30
	uml_until_armed one
	if "$vkckpt" suspend one 2>"$work/out"; then echo "an image of 60 MB in 8 MB?"; exit 1; fi
	grep -q NO_SPACE "$work/out"
	: >"$work/one.log"
	uml_until one TICK 10
	[ -z "$(ls "$work/small")" ]
	# the disk still says running: a suspend elsewhere works
	umount -l "$work/small"
	kill -9 "$pid"; wait "$pid" || true
	: >"$work/one.log"
	uml_boot one ubd0="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh
	uml_until one TICK 60
fi

# killed d milliseconds after the signal: either the image is whole and thaws, or the disk boots
n=0 thawed=0 booted=0
for d in 0.02 0.05 0.09 0.13 0.17 0.21 0.26 0.32 0.40; do
	n=$((n + 1))
	rm -f "$work/one.vkckpt"
	kill -52 "$pid"
	sleep "$d"
	kill -9 "$pid" 2>/dev/null || true
	wait "$pid" || true
	: >"$work/one.log"
	if [ -f "$work/one.vkckpt" ]; then
		"$vkckpt" verify "$work/one.vkckpt" >/dev/null
		thawed=$((thawed + 1))
		uml_thaw one
	else
		booted=$((booted + 1))
		uml_boot one ubd0="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh
	fi
	uml_until one TICK 60 || { cat "$work/one.log"; exit 1; }
	uml_until_armed one
done
! pgrep -f "umid=one" | grep -v "^$pid\$" | while read -r p; do grep -q "^PPid:.$pid\$" "/proc/$p/status" || echo "left behind: $p"; done | grep .
echo "note: killed $n times: $thawed images, $booted boots"
