# A checkpoint that continues freezes the copy-on-write file of a disk: the image and that file are a pair, whatever the guest does afterwards.
# Both worlds go on from the same moment with disks of their own; a backing file that was written to is refused; a request that dies in the
# middle of the copy leaves the guest, its disk and the old pair as they were. What `vkckpt info' says of times is looked at here, too.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
cp --sparse=always --reflink=auto "$debian" "$work/back.img"
chmod 444 "$work/back.img"
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
mount -t hostfs -o "$(tr ' ' '\n' </proc/cmdline | sed -n 's/^vkhost=//p')" none /mnt
dd if=/dev/urandom of=/root/data bs=1M count=24 2>/dev/null
md5sum </root/data >/root/sum
i=0
while sleep 0.1; do
	i=$((i + 1))
	echo $i >/root/count && sync
	echo "TICK $i"
	[ -e /mnt/look ] || continue
	echo 3 >/proc/sys/vm/drop_caches
	[ "$(md5sum </root/data)" = "$(cat /root/sum)" ] && echo "DATA good $(cat /root/count)" || echo "DATA bad"
	rm -f /mnt/look
done
GUEST
chmod +x "$work/host/run.sh"
uml_boot cow ubd0="$work/cow.img,$work/back.img" vkhost="$work/host" vkrun=/run/host/run.sh
uml_until cow 'TICK 3' 60
"$vkckpt" checkpoint cow | tee "$work/out"
grep 'sync .*freeze .*devices .*write .*commit ' "$work/out"
at=$(grep -a -o 'TICK [0-9]*' "$work/cow.log" | tail -n 1 | cut -d' ' -f2)
frozen=$(ls "$work"/cow.vkckpt.ubd0-* | grep -v 'vkckpt$')
[ "$(stat -c %b "$frozen")" -lt "$(($(stat -c %s "$frozen") / 1024))" ]		# holes are still holes
"$vkckpt" info "$work/cow.vkckpt" | sed -n '/^Times/,/^$/p;/^Disks/,$p'
"$vkckpt" info "$work/cow.vkckpt" | grep "copy was frozen with this image, $frozen"
"$vkckpt" info "$work/cow.vkckpt" | grep '^  Checkpoint .*freeze .*devices .*walk .*write '
cp "$work/cow.vkckpt" "$work/first.vkckpt"

# the second one is killed while it copies, or after it: the first pair stays good, and so does the disk
uml_until cow "TICK $((at + 10))" 20
uml_suspend cow
uml_keep_log cow
uml_thaw cow
uml_until cow TICK 30
uml_until_armed cow
("$vkckpt" checkpoint cow >/dev/null 2>&1 || true) &
sleep 0.35
kill -9 "$pid"
wait "$pid" || true
uml_keep_log cow
if [ -e "$work/cow.vkckpt" ]; then "$vkckpt" verify -q "$work/cow.vkckpt"; fi
uml_boot cow ubd0="$work/cow.img,$work/back.img" vkhost="$work/host" vkrun=/run/host/run.sh
uml_until cow TICK 60
kill -9 "$pid"
wait "$pid" || true

# the frozen pair: goes on from its own moment, on its own file
chmod 644 "$work/back.img"
touch -d '+1 day' "$work/back.img"
if "$linux" thaw="$work/first.vkckpt" >"$work/out" 2>&1 </dev/null; then exit 1; fi
grep 'backing file.*written to.*DISK_CHANGED' "$work/out"
touch -d "@$("$vkckpt" info "$work/first.vkckpt" | grep -o 'backing_mtime=[0-9]*' | cut -d= -f2)" "$work/back.img"
cp "$work/cow.img" "$work/cow.before"
uml_keep_log cow
"$linux" thaw="$work/first.vkckpt" vkckpt="$work/cow.vkckpt" </dev/null >>"$work/cow.log" 2>&1 &
pid=$!
pids="$pids $pid"
uml_until cow TICK 30
first=$(grep -a -o 'TICK [0-9]*' "$work/cow.log" | head -n 1 | cut -d' ' -f2)
[ "$first" -le $((at + 3)) ]
touch "$work/host/look"
uml_until cow '^DATA' 30
grep -a '^DATA good' "$work/cow.log"
grep -a 'phases of the thaw: exec [0-9]*, load [0-9]*, address spaces' "$work/cow.log"
uml_until_armed cow
uml_suspend cow
"$vkckpt" info "$work/cow.vkckpt" | grep '^  Thaw before .*load .*vmspaces .*devices .*tasks '
cmp "$work/cow.img" "$work/cow.before"
echo "note: frozen $(du -h "$frozen" | cut -f1) of $(du -h --apparent-size "$frozen" | cut -f1)"
