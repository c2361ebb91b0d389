# A request that is taken back, by ^C or because its time is over, ends at once wherever it is: while guests are asked, while a task cannot be frozen,
# while the image goes to a pipe that nobody reads. A reader that dies ends it too. Each time the guest runs on, and is suspended afterwards.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
uml_disk
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
# does what the files /mnt/do.1, /mnt/do.2 ... say, in this shell
mount -t hostfs -o "$(tr ' ' '\n' </proc/cmdline | sed -n 's/^vkhost=//p')" none /mnt
n=1
while :; do
	echo "TICK $(head -n 1 /dev/vkckpt)"
	[ -e /mnt/do.$n ] || { sleep 0.1; continue; }
	. /mnt/do.$n || echo "do.$n: $?"
	echo "DID $n"
	n=$((n + 1))
done
GUEST
chmod +x "$work/host/run.sh"
guest() {	# COMMAND: in the guest's shell; until it is done
	uml_tell "$1"
	uml_until one "^DID $told" 60 || { cat "$work/one.log"; exit 1; }
}
runs_on() {	# nothing is left of the request, and the guest goes on
	lines=$(grep -a -c TICK "$work/one.log")
	i=0
	until [ "$(grep -a -c TICK "$work/one.log")" -gt $((lines + 2)) ]; do i=$((i + 1)); [ $i -lt 300 ]; sleep 0.1; done
	[ ! -e "$work/one.vkckpt.part" ]
}
cancelled() {	# WHY ARGS...: a suspend in whose way something stands
	why=$1; shift
	if "$vkckpt" suspend "$@" one >"$work/out" 2>&1; then cat "$work/out"; echo "not cancelled"; exit 1; fi
	grep "$why.*runs on (CANCELLED)" "$work/out" || { cat "$work/out"; exit 1; }
	runs_on
}
# a suspend that is interrupted a little after PATTERN stands on the console or in the list of kernels; a shell's background processes ignore SIGINT
interrupted() {	# PATTERN [SECONDS]
	perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$vkckpt" suspend one >"$work/out" 2>&1 &
	tool=$!
	pids="$pids $tool"
	i=0
	until grep -a -q "$1" "$work/one.log" || "$vkckpt" list | grep -q "$1"; do
		i=$((i + 1))
		[ $i -lt 300 ] && kill -0 $tool || { cat "$work/out" "$work/one.log"; echo "no $1"; exit 1; }
		sleep 0.05
	done
	sleep "${2:-0}"
	kill -INT $tool
	rc=0; wait $tool || rc=$?
	grep 'cancelled on your interrupt, the vkernel runs on (CANCELLED)' "$work/out" || { cat "$work/out"; exit 1; }
	[ $rc -eq 1 ]
	runs_on
}

"$linux" mem=128M umid=one vkckpt="$work/one.vkckpt" root=/dev/ubda ro init=/sbin/vkinit con=null con0=null,fd:1 ssl=null $quiet \
	ubd0r="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh </dev/null >>"$work/one.log" 2>&1 &
pid=$!
pids="$pids $pid"
uml_until one TICK 60
uml_until_armed one

# guests are asked and do not answer
guest '(exec 5<>/dev/vkckpt; echo subscribe >&5; touch /run/asked; while :; do head -n 1 /dev/vkckpt | grep notice; sleep 0.05; done) & asked=$!; until [ -e /run/asked ]; do sleep 0.1; done'
interrupted 'state=notice'
guest 'kill $asked; wait $asked 2>/dev/null; until grep -q running /dev/vkckpt; do sleep 0.1; done'

# a task cannot be frozen: what the kernel waits for 20 seconds long
guest 'mkdir -p /run/f; mount -t tmpfs none /run/f; truncate -s 8M /run/f/img; mkfs.ext4 -q /run/f/img; mkdir /run/f/fs; mount -o loop /run/f/img /run/f/fs; fsfreeze -f /run/f/fs; (echo x >/run/f/fs/file) & until grep -q "^State:.D" /proc/$!/status; do sleep 0.1; done'
cancelled 'not complete after 1 s' -t 1
interrupted 'one .*requested' 0.5
guest 'dmesg | grep "Freezing of" | sed "s/^/SAID /"'
[ "$(grep -a -c '^SAID.*aborted after' "$work/one.log")" = 2 ]
if grep -a '^SAID.*failed after' "$work/one.log"; then echo "a cancelled suspend waited until tasks are given up"; exit 1; fi
guest 'fsfreeze -u /run/f/fs; wait; umount /run/f/fs /run/f'
uml_suspend one

# the image goes to a pipe
new_pipe() {	# another one: what a kernel that was killed has put into the last may still be there
	rm -f "$work/pipe"
	mkfifo "$work/pipe"
}
thaw_to_pipe() {	# a reader has it open
	uml_keep_log one
	"$linux" thaw="$work/one.vkckpt" vkckpt=fd:3 3>"$work/pipe" </dev/null >>"$work/one.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	uml_until one 'TICK.*thaws=1' 30
	uml_until_armed one
}
no_second() {	# half an image is in the pipe
	if "$vkckpt" suspend one >"$work/out" 2>&1; then exit 1; fi
	grep 'runs on.*image_fd: takes one image' "$work/out" || { cat "$work/out"; exit 1; }
	runs_on
	kill -9 "$pid"
	wait "$pid" || true
}
for how in time interrupt; do
	new_pipe
	sleep 1000 <"$work/pipe" &
	reader=$!
	pids="$pids $reader"
	thaw_to_pipe
	case $how in
	time) cancelled 'not complete after 1 s' -t 1 ;;
	interrupt) interrupted 'one .*writ' ;;
	esac
	kill $reader
	no_second
done
new_pipe
head -c 500000 "$work/pipe" >"$work/part" &
thaw_to_pipe
if "$vkckpt" suspend -t 60 one >"$work/out" 2>&1; then exit 1; fi
grep 'runs on.*(IO_ERROR)' "$work/out" || { cat "$work/out"; exit 1; }
runs_on
no_second
# and one that reads
new_pipe
cat "$work/pipe" >"$work/whole" &
reader=$!
thaw_to_pipe
uml_suspend one
wait $reader
"$vkckpt" verify "$work/whole"
