# Every device and state that cannot be part of an image refuses the request by its name, the guest runs on, and once the reason is gone the very
# same guest suspends and thaws: xterm channel, shared disk, devices plugged in later, transports without a name, memory of the host, too
# many open files of the host, a task that cannot be frozen. (A port's connection: consoles.sh; a FUSE server: systemd.sh.)
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
uml_disk
mem=128M
truncate -s 16M "$work/shared.img" "$work/later.img" "$work/memory"
mkdir "$work/bin"
cp build/test/uml/telnetd "$work/bin/xterm"
export DISPLAY=none PATH="$work/bin:$PATH"
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
# does what the files /mnt/do.1, /mnt/do.2 ... say, in this shell
mount -t hostfs -o "$(tr ' ' '\n' </proc/cmdline | sed -n 's/^vkhost=//p')" none /mnt
n=1
while :; do
	echo "TICK"
	[ -e /mnt/do.$n ] || { sleep 0.2; continue; }
	. /mnt/do.$n >/mnt/said.$n 2>&1 || echo "do.$n: $?"
	echo "DID $n"
	n=$((n + 1))
done
GUEST
guest() {	# COMMAND: in the guest's shell; until it is done
	uml_tell "$1"
	uml_until "${name:-many}" "^DID $told" 120 || { cat "$work/host/said.$told"; exit 1; }
}
refused() {	# PATTERN
	if "$vkckpt" suspend -t 60 "$name" >"$work/out" 2>&1; then echo "not refused: $1"; exit 1; fi
	grep -- "runs on.*$1" "$work/out" || { echo "refused, but not with $1:"; cat "$work/out"; exit 1; }
	lines=$(grep -a -c TICK "$work/$name.log")
	i=0
	until [ "$(grep -a -c TICK "$work/$name.log")" -gt "$lines" ]; do i=$((i + 1)); [ $i -lt 300 ]; sleep 0.1; done
	for file in "$work/$name.vkckpt" "$work/$name.vkckpt.part"; do [ ! -e "$file" ] || { echo "refused, and there is $file"; exit 1; }; done
}
network=
if [ "$(id -u)" = 0 ] && [ -c /dev/net/tun ]; then
	network="vec0:transport=tap,depth=8"
fi
# shellcheck disable=SC2086
uml_boot many ubd0="$work/disk.img" ubd1c="$work/shared.img" con1=xterm xterm=xterm,-T,-e $network \
	vec1:transport=l2tpv3,src=127.0.0.1,dst=127.0.0.1,udp=1,srcport=$((20000 + $$ % 5000)),dstport=$((25000 + $$ % 5000)),rx_session=1,tx_session=1 \
	vkhost="$work/host" vkrun=/run/host/run.sh
chmod +x "$work/host/run.sh"
uml_until many TICK 60
uml_until_armed many

guest 'exec 7<>/dev/tty1'
refused 'con1: its open xterm'
guest 'exec 7>&-'
uml_mconsole many config con1=none
guest 'exec 7<>/dev/ubdb'
refused 'ubd1: shared (flag c)'
guest 'exec 7>&-'
if [ -n "$network" ]; then
	guest 'ip link set vec0 up'
	refused 'vec0: a tap interface of a random name'
	guest 'ip link set vec0 down'
fi
guest 'ip link set vec1 up'
refused 'vec1: its transport is not one of'
guest 'ip link set vec1 down'
uml_mconsole many config ubd3="$work/later.img"
refused 'ubd3: was configured after'
uml_mconsole many remove ubd3
uml_mconsole many config ssl2=pts
refused 'ssl2: was configured after'
uml_mconsole many config ssl2=none
guest 'for i in $(seq 260); do echo $i >/mnt/f.$i; exec {f}</mnt/f.$i; opened="$opened $f"; done'
refused 'hostfs: too many open files'
guest 'for f in $opened; do exec {f}<&-; done'
guest 'mkdir -p /froze; mount -t tmpfs none /froze; dd if=/dev/zero of=/froze/img bs=1M count=8 2>/dev/null; mkfs.ext4 -q /froze/img; mkdir /froze/fs; mount -o loop /froze/img /froze/fs; fsfreeze -f /froze/fs; (echo x >/froze/fs/file) & until grep -q "^State:.D" /proc/$!/status; do sleep 0.1; done; echo $!'
refused "tasks: run.sh (pid $(tail -n 1 "$work/host/said.$told")) cannot be frozen"
guest 'fsfreeze -u /froze/fs; wait $!; umount /froze/fs /froze'
uml_mconsole many remove ubd1		# what is taken away is no reason
uml_suspend many
uml_keep_log many
uml_thaw many
uml_until many TICK 30
kill -9 "$pid"; wait "$pid" || true
rm -f "$work/disk.img.vkckpt"
cp --sparse=always "$debian" "$work/disk.img"
rm -f "$work"/host/do.*

told=0
mem=128M
uml_boot memory ubd0="$work/disk.img" iomem=memory,"$work/memory" vkhost="$work/host" vkrun=/run/host/run.sh
name=memory
uml_until memory TICK 60
uml_until_armed memory
refused 'iomem: memory of the host'
