# What programs in the guest see: notice, acknowledge, veto, deadline; a checkpoint asked for from inside; generation, time, random numbers,
# files of the host that stay open, an alarm of the clock, a loaded module, swap.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
uml_disk
truncate -s 160M "$work/swap"
mem=128M
cp "$(dirname "$linux")/modules/dummy.ko" "$work/host/" 2>/dev/null || true
echo kept >"$work/host/data"
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
mount -t hostfs -o "$(tr ' ' '\n' </proc/cmdline | sed -n 's/^vkhost=//p')" none /mnt
mkswap /dev/ubdb >/dev/null 2>&1 && swapon /dev/ubdb && echo "SWAP on"
# more than there is memory
mount -o remount,size=140M /dev/shm
head -c 120000000 /dev/urandom >/dev/shm/big
sum=$(md5sum </dev/shm/big)
echo "SWAPPED $(awk '/ubdb/ { print $4 }' /proc/swaps)"
insmod /run/host/dummy.ko && ip link set dummy0 up
exec 7</mnt/data
date +%s >/run/before
cut -d' ' -f1 /proc/uptime >/run/uptime
head -c 16 /dev/urandom >/run/random
exec 5<>/dev/vkckpt
echo subscribe >&5
head -n 1 <&5
date -d '+6 seconds' +%s >/sys/class/rtc/rtc0/wakealarm
echo READY
n=0
while :; do
	state=$(head -n 1 /dev/vkckpt)
	case $state in
	*notice*)
		n=$((n + 1))
		case $n in
		1) echo veto >&5; echo "NOTICE vetoed" ;;
		*) echo ack >&5; echo "NOTICE acknowledged" ;;
		esac
		while grep -q notice /dev/vkckpt; do sleep 0.05; done
		echo "OVER $n"
		;;
	*thaws=1*) break ;;
	esac
	sleep 0.05
done
echo "THAWED $(head -n 1 /dev/vkckpt) away=$(($(date +%s) - $(cat /run/before)))"
read -r line <&7
echo "HOSTFS $line"
lsmod | grep -q dummy && ip -br link show dummy0 && echo "MODULE there"
[ "$sum" = "$(md5sum </dev/shm/big)" ] && echo "SWAP there"
sleep 5
[ -z "$(cat /sys/class/rtc/rtc0/wakealarm)" ] && echo "ALARM rang"
exec 5>&-
(echo checkpoint >/dev/vkckpt) 2>&1 | sed 's/^/ASKED /'
echo "ASKED over"
(echo suspend >/dev/vkckpt) 2>&1 | sed 's/^/SELF /'
echo "SELF over"
GUEST
chmod +x "$work/host/run.sh"
uml_boot view ubd0="$work/disk.img" ubd1="$work/swap" vkhost="$work/host" vkrun=/run/host/run.sh
uml_until view READY 60
grep -a 'SWAP on' "$work/view.log"
grep -a SWAPPED "$work/view.log"
[ "$(sed -n 's/^SWAPPED \([0-9]*\).*/\1/p' "$work/view.log")" -gt 5000 ]	# KiB: it really lies there
if "$vkckpt" suspend view 2>"$work/out"; then echo "not vetoed"; exit 1; fi
grep -i veto "$work/out"
uml_until view 'OVER 1' 20
uml_suspend view
# what the image consists of, by class, and the guest's processes by name, pid and size
"$vkckpt" info "$work/view.vkckpt" >"$work/info"
for class in kernel 'page tables' slab 'file cache' 'process memory' 'MiB free'; do grep -i "$class" "$work/info" || { cat "$work/info"; exit 1; }; done
"$vkckpt" vmspaces "$work/view.vkckpt" | tee "$work/vmspaces"
grep -q run.sh "$work/vmspaces"
sleep 3
uml_thaw view
uml_until view 'SELF over' 40 || true
cat "$work/view.log"
rc=0; wait "$pid" || rc=$?
[ $rc -eq 33 ]		# it suspended itself
uml_thaw view
uml_until view 'SELF over' 30
uml_end view
grep -a 'NOTICE acknowledged' "$work/view.log"
away=$(sed -n 's/.*THAWED.*away=//p' "$work/view.log")
[ "$away" -ge 3 ]
for line in 'HOSTFS kept' 'MODULE there' 'SWAP there' 'ALARM rang'; do grep -a "$line" "$work/view.log"; done
grep -a 'ubd0.*DISK_NOT_FROZEN' "$work/view.log"	# no file system that can clone under it
grep -a 'ASKED.*write error' "$work/view.log"
grep -a 'SELF.*Stale' "$work/view.log"
