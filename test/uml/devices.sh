# Devices beyond the plain ones: a copy-on-write disk over a backing file, a second disk, a read-only one, a serial line on a pty, a console that is
# somewhere else after the thaw, the management console.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
cp --sparse=always --reflink=auto "$debian" "$work/back.img"
chmod 444 "$work/back.img"
truncate -s 32M "$work/data.img" "$work/ro.img"
mkfs.ext4 -q -F "$work/data.img"
echo readonly | dd of="$work/ro.img" conv=notrunc 2>/dev/null
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
mkdir -p /data && mount /dev/ubdb /data
(while read -r line; do echo "heard $line" >/dev/ttyS0; done </dev/ttyS0) &
i=0
while sleep 0.1; do
	i=$((i + 1))
	echo $i >/data/count && echo $i >/root/count && sync
	echo 3 >/proc/sys/vm/drop_caches	# what follows comes from the disks
	echo "TICK $i $(cat /data/count) $(cat /root/count) $(head -c 8 /dev/ubdc) $(cat /usr/bin/b* | md5sum)"
done
GUEST
chmod +x "$work/host/run.sh"
uml_boot dev ubd0="$work/cow.img,$work/back.img" ubd1="$work/data.img" ubd2r="$work/ro.img" ssl0=pts vkhost="$work/host" vkrun=/run/host/run.sh
uml_until dev 'TICK 5 ' 60
uml_suspend dev
"$vkckpt" info "$work/dev.vkckpt" | sed -n '/^Devices/,/^$/p;/^Disks/,$p'
for disk in cow data; do [ -f "$work/$disk.img.vkckpt" ] || { echo "no fence beside $disk.img"; exit 1; }; done
for disk in back ro; do [ ! -e "$work/$disk.img.vkckpt" ] || { echo "a fence beside $disk.img, which is only read"; exit 1; }; done
sums() { grep -a -o 'readonly [0-9a-f]\{32\}' "$work/dev.log" | sort -u; }
before=$(sums)
last=$(grep -a -o 'TICK [0-9]*' "$work/dev.log" | tail -n 1 | cut -d' ' -f2)

# the console goes to another descriptor, the backing file has moved
mv "$work/back.img" "$work/moved.img"
uml_keep_log dev
limit=$("$vkckpt" info "$work/dev.vkckpt" | grep -o 'fd_limit=[0-9]*' | cut -d= -f2)
perl -e 'use POSIX; open(my $f, ">>", shift) or die; my $n = shift; $^F = 10000; POSIX::dup2(fileno($f), $n) or die; exec @ARGV or die' \
	"$work/dev.log" "$limit" "$linux" thaw="$work/dev.vkckpt" thaw.con0="null,fd:$limit" thaw.ubd0="$work/cow.img,$work/moved.img" \
	</dev/null >"$work/plain.log" 2>&1 &
pid=$!
pids="$pids $pid"
uml_until dev TICK 30 || { cat "$work/plain.log"; exit 1; }
uml_until_armed dev
first=$(grep -a -o 'TICK [0-9]*' "$work/dev.log" | head -n 1 | cut -d' ' -f2)
[ "$first" -gt "$last" ] || { echo "TICK $first comes after TICK $last"; exit 1; }
[ "$first" -le $((last + 3)) ] || { echo "lost: what is between TICK $last and TICK $first"; exit 1; }
# one sum all the time: the read-only disk and the backing file are the same, the latter at its new place
[ -n "$before" ] || { echo "no sum before the suspend"; exit 1; }
[ "$(echo "$before" | wc -l)" = 1 ] || { echo "the disks changed while the guest ran: $before"; exit 1; }
[ "$(sums)" = "$before" ] || { echo "the disks are others after the thaw: $before, then $(sums)"; exit 1; }
if grep -a TICK "$work/plain.log"; then exit 1; fi
# the serial line has a new pty, which the management console names
uml_mconsole dev config ssl0 >"$work/answer"
cat "$work/answer"
pts=$(grep -a -o '/dev/pts/[0-9]*' "$work/answer")
perl -e 'use POSIX; open(my $f, "+<", shift) or die; my $t = POSIX::Termios->new; $t->getattr(fileno $f); $t->setlflag(0); $t->setattr(fileno $f, TCSANOW);
	syswrite $f, "hello\n"; alarm 15; my $all = ""; until ($all =~ /heard hello/) { sysread($f, my $b, 100) or die; $all .= $b; } print "serial line answers\n"' "$pts"
uml_suspend dev
uml_thaw dev thaw.con0=null,fd:1
uml_until dev 'TICK' 30
kill -9 "$pid"; wait "$pid" || true
e2fsck -f -y "$work/data.img" >/dev/null 2>&1 || [ $? -le 1 ]
