# Parameters that no other test gives, and requests in ways that no other test asks: vkckpt.name, an image to a descriptor from a boot, plain SIGCKPT and
# /sys/power/state under either action, a guest process without CAP_SYS_BOOT, channels of consoles overridden by each kind (pty: pty.sh), one value by
# its own key, a file of the host that is gone at the thaw, the binary kept by a link and by a copy, a raw disk copied for a checkpoint.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
elsewhere=
trap 'rm -rf "$elsewhere"; uml_clean' EXIT
uml_disk
mem=128M
echo kept >"$work/host/data"
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
# does what the files /mnt/do.1, /mnt/do.2 ... say, in this shell, and answers on two terminals
mount -t hostfs -o "$(tr ' ' '\n' </proc/cmdline | sed -n 's/^vkhost=//p')" none /mnt
exec 7</mnt/data
hears() { while :; do while read -r line; do echo "$1 heard $line" >"$2"; done <"$2"; sleep 0.2; done; }	# NAME DEVICE
(hears serial /dev/ttyS0 & hears console /dev/tty1) 2>/dev/null &
n=1
while :; do
	echo "TICK"
	[ -e /mnt/do.$n ] || { sleep 0.1; continue; }
	. /mnt/do.$n >/run/said 2>&1
	sed 's/^/SAID /' /run/said
	echo "DID $n"
	n=$((n + 1))
done
GUEST
chmod +x "$work/host/run.sh"
says() {	# NAME COMMAND PATTERN: what it says
	uml_keep_log "$1"
	uml_tell "$2"
	uml_until "$1" "^DID $told" 30
	grep -a "^SAID.*$3" "$work/$1.log" || { echo "not $3:"; cat "$work/$1.log"; exit 1; }
}
goes_on() {	# NAME
	uml_keep_log "$1"
	uml_until "$1" TICK 30
}
newest() { find "$work" -maxdepth 1 -name 'b.vkckpt*' ! -name '*.part' -printf '%T@ %i %p\n' | sort -n | tail -n 1; }
written() {	# BEFORE: until there is another image, and it is good
	i=0
	until [ "$(newest)" != "$1" ]; do i=$((i + 1)); [ $i -lt 600 ] || { echo "no image was written"; exit 1; }; sleep 0.1; done
	image=$(newest | cut -d' ' -f3)
	"$vkckpt" verify -q "$image"
}

# --- a name of its own, and the image to a descriptor
"$linux" mem="$mem" umid=b vkckpt=fd:3 vkckpt.name=web vkckpt.action=continue root=/dev/ubda ro init=/sbin/vkinit con=null con0=null,fd:1 con1=pts ssl=null \
	ssl0=pts $quiet ubd0r="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh 3>"$work/piped" </dev/null >>"$work/b.log" 2>&1 &
pid=$!
pids="$pids $pid"
uml_until b TICK 60
uml_until_armed web
[ "$(cat "$HOME/.uml/b/pid")" = "$pid" ]
uml_suspend web
"$vkckpt" verify -q "$work/piped"

# --- the image's name stays; SIGCKPT and /sys/power/state do what the configured action says: write an image and go on
"$linux" thaw="$work/piped" vkckpt="$work/b.vkckpt" </dev/null >>"$work/b.log" 2>&1 &
pid=$!
pids="$pids $pid"
uml_until_armed web
before=$(newest)
kill -52 "$pid"
written "$before"
goes_on b
before=$(newest)
says b 'echo mem >/sys/power/state; echo "back $?, $(head -n 1 /dev/vkckpt)"' 'back 0, .*thaws=1 '
written "$before"
# whoever may not reboot a machine may not suspend it
says b "setpriv --bounding-set=-sys_boot bash -c 'echo suspend >/dev/vkckpt'" 'Operation not permitted'
goes_on b
kill -9 "$pid"; wait "$pid" || true

# --- a file that a guest process has open is gone on the host
mv "$work/host/data" "$work/host/moved"
if timeout 60 "$linux" thaw="$image" >"$work/out" 2>&1 </dev/null; then echo "thawed without a file that a guest process has open"; exit 1; fi
grep 'hostfs: cannot open .*/host/data.*(DEVICE_MISSING)' "$work/out"
mkfifo "$work/host/data"		# nobody writes to it
if timeout 60 "$linux" thaw="$image" >"$work/out" 2>&1 </dev/null; then echo "thawed with a pipe for a file that a guest process has open"; exit 1; fi
grep 'hostfs: cannot open .*/host/data.*(DEVICE_MISSING)' "$work/out"
mv "$work/host/moved" "$work/host/data"

# --- other channels: a serial line at nothing, a console at a terminal of the host, the first one by the library's own key; and the line at a pts again
build/test/uml/terminal 24 80 - >"$work/tty.log" 2>&1 <<SCRIPT &
name $work/tty
raw
send hello\r
expect console heard hello
SCRIPT
terminal=$!
pids="$pids $terminal"
i=0; until [ -s "$work/tty" ]; do i=$((i + 1)); [ $i -lt 600 ]; sleep 0.1; done
thaw() {	# PARAMETERS
	uml_keep_log b
	"$linux" thaw="$image" vkckpt="$work/b.vkckpt" "$@" </dev/null >>"$work/b.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	uml_until b TICK 30
	uml_until_armed web
}
if timeout 60 "$linux" thaw="$image" thaw.con0.channel=null >"$work/out" 2>&1 </dev/null; then echo "a key that no device has was taken"; exit 1; fi
grep 'OVERRIDE_UNKNOWN' "$work/out"
thaw vkckpt.action=exit thaw.ssl0=null thaw.con1=tty:"$(cat "$work/tty")" thaw.con0.channels=null,fd:2
wait $terminal || { cat "$work/tty.log"; exit 1; }
before=$(newest)
uml_tell 'echo mem >/sys/power/state; echo "back $?, $(head -n 1 /dev/vkckpt)"'	# now it exits
rc=0; wait "$pid" || rc=$?
[ $rc -eq 33 ] || { echo "status $rc, not 33, of echo mem"; cat "$work/b.log"; exit 1; }
written "$before"
thaw thaw.con1=null thaw.ssl0=pts
uml_until b '^SAID back 0, .*thaws=3 ' 30
uml_mconsole b config ssl0 >"$work/answer"
cat "$work/answer"
perl -e 'use POSIX; open(my $f, "+<", shift) or die; my $t = POSIX::Termios->new; $t->getattr(fileno $f); $t->setlflag(0); $t->setattr(fileno $f, TCSANOW);
	alarm 30; my $all = ""; until ($all =~ /serial heard hello/) { syswrite $f, "hello\n"; sysread($f, my $b, 100) or die; $all .= $b; }' "$(grep -a -o '/dev/pts/[0-9]*' "$work/answer")"
kill -9 "$pid"; wait "$pid" || true

# --- the kept binary is a link; a raw disk, copied because it is asked for, is what the image goes on with
cp "$linux" "$work/linux"
rm "$work"/host/do.*
told=0
"$work/linux" mem="$mem" umid=raw vkckpt="$work/raw.vkckpt" vkckpt.binary=keep root=/dev/ubda rw init=/sbin/vkinit con=null con0=null,fd:1 ssl=null $quiet \
	ubd0="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh </dev/null >>"$work/raw.log" 2>&1 &
pid=$!
pids="$pids $pid"
uml_until raw TICK 60
uml_until_armed raw
binary=$(ls "$work"/uml-*)
[ "$binary" -ef "$work/linux" ] || { echo "$binary is not a link"; exit 1; }
says raw 'echo then >/root/moment; sync; echo $?' 0
"$vkckpt" checkpoint --copy-disks raw
says raw 'echo now >/root/moment; sync; echo $?' 0
kill -9 "$pid"; wait "$pid" || true
frozen=$(ls "$work"/raw.vkckpt.ubd0-* | grep -v 'vkckpt$')
[ "$(stat -c %b "$frozen")" -lt "$(($(stat -c %s "$frozen") / 1024))" ] || { echo "its holes were copied"; exit 1; }
if cmp -s "$frozen" "$work/disk.img"; then echo "the copy is the disk itself"; exit 1; fi
rm "$work/host/do.2"
told=1
uml_keep_log raw
"$binary" thaw="$work/raw.vkckpt" </dev/null >>"$work/raw.log" 2>&1 &
pid=$!
pids="$pids $pid"
says raw 'cat /root/moment' then
kill -9 "$pid"; wait "$pid" || true

# --- no link leads to another file system
if [ -w /dev/shm ] && [ "$(stat -c %d /dev/shm)" != "$(stat -c %d "$linux")" ]; then
	elsewhere=$(mktemp -d /dev/shm/vkuml.XXXXXX)
	: >"$elsewhere/$(basename "$binary").part"	# of somebody who died
	uml_boot copy vkckpt="$elsewhere/copy.vkckpt" vkckpt.binary=keep ubd0r="$debian"
	uml_until_armed copy
	binary=$elsewhere/$(basename "$binary")
	i=0
	until [ -x "$binary" ] || [ $i -ge 300 ]; do i=$((i + 1)); sleep 0.1; done	# copied behind the arm
	cmp "$binary" "$linux"
	[ -x "$binary" ] || { echo "$binary cannot be run"; exit 1; }
	echo "note: the binary kept by a link, and by a copy"
else
	echo "note: the binary kept by a link (/dev/shm is no other file system)"
fi
