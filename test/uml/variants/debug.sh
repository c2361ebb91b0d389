# The kernel with lockdep and DEBUG_ATOMIC_SLEEP (build.sh debug) goes through suspends, thaws, a checkpoint that continues and a veto, with I/O on
# disk, loop TCP, a pty line, a loaded module and an open file of the host, and says nothing: a single warning fails this. lockdep looks until
# its first finding only, so it must still be looking at the end.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
cycles=${CYCLES:-5}
uml_disk
cp build/test/uml/survive test/uml/guests/survive.sh "$work/host/"
cp "$(dirname "$linux")/modules/dummy.ko" "$work/host/"
echo kept >"$work/host/data"
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
mount -t hostfs -o "$(tr ' ' '\n' </proc/cmdline | sed -n 's/^vkhost=//p')" none /mnt
exec 7</mnt/data
insmod /run/host/dummy.ko && ip link set dummy0 up
(while read -r line; do echo "heard $line" >/dev/ttyS0; done </dev/ttyS0) &
date -d '+5 seconds' +%s >/sys/class/rtc/rtc0/wakealarm
bash /run/host/survive.sh
echo "LOCKDEP $(grep debug_locks /proc/lockdep_stats)"
dmesg | sed 's/^/DMESG /'
echo "END of the log"
GUEST
chmod +x "$work/host/run.sh"
truncate -s 64M "$work/disk2.img"
mkfs.ext4 -q -F "$work/disk2.img"
mem=512M uml_boot debug ubd0="$work/disk.img" ubd1="$work/cow.img,$work/disk2.img" ssl0=pts loglevel=7 vkhost="$work/host" vkrun=/run/host/run.sh
uml_until debug '^STATE SURV' 180
n=0
while [ $n -lt "$cycles" ]; do
	n=$((n + 1))
	"$vkckpt" checkpoint --ram-only debug
	sleep 1
	uml_suspend debug
	uml_keep_log debug
	uml_thaw debug
	uml_until debug '^STATE' 120
	uml_until_armed debug
	sleep 2
done
touch "$work/host/stop"
uml_until debug 'END of the log' 60
uml_survived debug
grep -a '^LOCKDEP.*debug_locks: *1' "$work/all.log"
e2fsck -f -n "$work/disk.img" >/dev/null
echo "note: $cycles suspends and $cycles checkpoints, $(grep -a -c '^DMESG' "$work/all.log") lines of kernel log, no warning"
