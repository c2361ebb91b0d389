#!/bin/bash
# In the guest: the survivor, and writers that verify what they wrote, until the file "stop" appears in the host's folder.
mount -t hostfs -o "$(tr ' ' '\n' </proc/cmdline | sed -n 's/^vkhost=//p')" none /mnt
mkdir -p /root/work && cd /root/work
/run/host/survive /root/work 1000 >/run/surv &
writer() {
	n=$1 round=0 bad=0
	while :; do
		round=$((round + 1))
		dd if=/dev/urandom of=f$n bs=64k count=20 conv=fsync 2>/dev/null
		sum=$(md5sum <f$n)
		cp f$n g$n && sync g$n
		[ "$sum" = "$(dd if=g$n iflag=direct bs=64k 2>/dev/null | md5sum)" ] || bad=$((bad + 1))
		echo "$round $bad" >/run/writer$n
	done
}
for i in 1 2; do writer $i & done
(while :; do find /usr -type f | head -200 | xargs cat >/dev/null; echo 1 >/proc/sys/vm/drop_caches; done) 2>/dev/null &
while [ ! -e /mnt/stop ]; do
	sleep 0.5
	echo "STATE $(tail -n 1 /run/surv) writers=$(cat /run/writer* 2>/dev/null | tr '\n' ';')"
done
for i in $(seq 20); do	# a busy host lets a trade stand still for a second; one that is dead does so in every look
	sleep 1.1
	look=$(tail -n 1 /run/surv)
	case $look in *' stuck=0') break ;; esac
done
echo "LAST $look writers=$(cat /run/writer* | awk '{ bad += $2; n += $1 } END { print n " rounds, " bad + 0 " bad" }')" \
	"vmapped=$(grep -c 'kernel_clone.*vmalloc' /proc/vmallocinfo)"
