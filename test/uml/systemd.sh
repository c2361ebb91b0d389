# A whole Debian: systemd as init, its journal and udev, 500 processes; an idle FUSE mount goes along, a task that cannot be frozen because its
# FUSE server is gone refuses the suspend and the guest runs on; reboot after a thaw.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
uml_disk
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
echo "STARTED $(cat /proc/1/comm) $(systemctl is-system-running)"
if [ ! -e /root/first ]; then
	touch /root/first
	for i in $(seq 500); do sleep 10000 & done
	mkdir -p /run/fuse /run/served
	for i in 1 2 3; do echo $i >/run/served/$i; done
	mount -t fusectl none /sys/fs/fuse/connections 2>/dev/null	# systemd may have
	/run/host/fuse /run/fuse &
	until [ -e /run/fuse/hello ]; do sleep 0.1; done
	echo "FUSE $(cat /run/fuse/hello)"
	n=0
	while ! grep -q 'thaws=1' /dev/vkckpt; do n=$((n + 1)); [ $((n % 10)) = 0 ] && echo WAITING; sleep 0.1; done
	echo "THAWED processes=$(ls -d /proc/[0-9]* | wc -l) fuse=$(cat /run/fuse/hello) $(systemctl is-system-running)"
	kill -STOP "$(pidof fuse)"
	cat /run/fuse/slow &
	until [ "$(cat /sys/fs/fuse/connections/*/waiting)" -gt 0 ]; do sleep 0.1; done	# its request
	echo "BUSY $!"
	while [ ! -e /mnt/go ]; do sleep 0.2; echo STILL; done
	kill -CONT "$(pidof fuse)"
	sleep 1
	echo REBOOTING
	systemctl reboot --force
	sleep 100
fi
echo "SECOND BOOT"
poweroff -f
GUEST
cp build/test/uml/fuse "$work/host/"
sed -i '2i mount -t hostfs -o "'"$work/host"'" none /mnt; mkdir -p /run/host; cp /mnt/* /run/host/; exec >/dev/console 2>\&1' "$work/host/run.sh"
chmod +x "$work/host/run.sh"
cat >"$work/unit" <<UNIT
[Service]
Type=simple
ExecStart=/bin/sh -c 'mkdir -p /mnt; mount -t hostfs -o $work/host none /mnt; exec bash /mnt/run.sh'
[Install]
WantedBy=multi-user.target
UNIT
debugfs -w -R "write $work/unit /etc/systemd/system/vktest.service" "$work/disk.img" 2>/dev/null
debugfs -w -R "symlink /etc/systemd/system/multi-user.target.wants/vktest.service /etc/systemd/system/vktest.service" "$work/disk.img" 2>/dev/null
mem=512M
"$linux" mem=512M umid=sys vkckpt="$work/sys.vkckpt" root=/dev/ubda rw con=null con0=null,fd:1 ssl=null $quiet ubd0="$work/disk.img" \
	systemd.log_target=null </dev/null >"$work/sys.log" 2>&1 &
pid=$!
pids=$pid
uml_until sys 'STARTED systemd' 90
uml_until sys 'WAITING' 180
uml_suspend sys
"$vkckpt" vmspaces "$work/sys.vkckpt" | tail -n 2
uml_thaw sys
uml_until sys BUSY 60
grep -a THAWED "$work/sys.log"
n=$(sed -n 's/.*THAWED processes=\([0-9]*\).*/\1/p' "$work/sys.log")
[ "$n" -ge 500 ]
grep -a -q 'fuse=hello' "$work/sys.log"
if "$vkckpt" suspend -t 60 sys 2>"$work/out"; then echo "a busy FUSE mount was suspended"; exit 1; fi
cat "$work/out"
grep -q "tasks: cat (pid $(sed -n 's/^BUSY \([0-9]*\).*/\1/p' "$work/sys.log")) cannot be frozen" "$work/out"
uml_keep_log sys
uml_until sys STILL 30
touch "$work/host/go"
uml_until sys 'SECOND BOOT' 90
echo "note: $n processes"
