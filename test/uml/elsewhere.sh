# "Another host", as far as one machine can play it: other pid, UTS and time namespaces (another host name, a lower monotonic clock), another folder
# for disk and image, working directory, environment, umid folder, console and place of the C library; and an ordinary user all the way.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
mkdir "$work/here"
uml_disk
mv "$work/disk.img" "$work/here/"
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
last=0 i=0
while sleep 0.1; do
	i=$((i + 1))
	now=$(cut -d' ' -f1 /proc/uptime | tr -d .)
	[ "$now" -ge "$last" ] || echo "TIME WENT BACK $last $now"
	last=$now
	echo "TICK $i $(date +%s) $(hostname)"
done
GUEST
chmod +x "$work/host/run.sh"
user=
if [ "$(id -u)" = 0 ]; then
	chown -R nobody "$work"
	chmod 755 "$work"
	user="setpriv --reuid=nobody --regid=$(id -g nobody) --clear-groups --inh-caps=-all"
	cp "$linux" "$vkckpt" "$work/"
	linux=$work/linux vkckpt=$work/vkckpt
fi
# its console goes to ticks.log and what it says itself to one.log, both in one piece over the thaw
$user "$linux" mem=256M umid=one vkckpt="$work/one.vkckpt" root=/dev/ubda rw init=/sbin/vkinit con=null con0=null,fd:1 ssl=null $quiet \
	ubd0="$work/here/disk.img" vkckpt.binary=keep vkhost="$work/host" vkrun=/run/host/run.sh </dev/null >"$work/ticks.log" 2>>"$work/one.log" &
pid=$!
pids="$pids $pid"
ticks() { grep -a -c '^TICK.* uml' "$work/ticks.log" || true; }
until_ticks() {	# COUNT
	i=0
	until [ "$(ticks)" -ge "$1" ]; do
		i=$((i + 1))
		[ $i -lt 600 ] && kill -0 "$pid" || { cat "$work/ticks.log" "$work/one.log"; exit 1; }
		sleep 0.1
	done
}
libc_of() { awk '/libc[.-]/ && $3 == "00000000" { sub("-.*", "", $1); print $1; exit }' "/proc/$1/maps"; }
until_ticks 3
libc_here=$(libc_of "$pid")
$user "$vkckpt" suspend one
rc=0; wait "$pid" || rc=$?; [ $rc -eq 33 ]
binary=$($user "$vkckpt" info "$work/one.vkckpt" | grep -o 'binary=[^ ]*' | cut -d= -f2)
cmp "$binary" "$linux"
before=$(ticks)

mv "$work/here" "$work/there"
mkdir "$work/elsewhere" && [ -z "$user" ] || chown nobody "$work/elsewhere"
mv "$work/one.vkckpt" "$work/elsewhere/moved"
unshare= clock=
if [ "$(id -u)" = 0 ]; then
	unshare="unshare --fork --kill-child --pid --uts --mount-proc"
	back=$(($(cut -d. -f1 /proc/uptime) - 20))	# a monotonic clock of a few seconds
	if [ $back -gt 0 ] && unshare --fork --time --monotonic -$back --boottime -$back true 2>/dev/null; then
		clock=", with a lower clock" unshare="$unshare --time --monotonic -$back --boottime -$back"
	fi
fi
# a stack without limit puts shared objects at the other end of the address space
(cd / && ulimit -s unlimited && exec $unshare sh -c "[ -z '$unshare' ] || hostname elsewhere; exec \"\$@\"" sh \
	env -i HOME="$work/elsewhere" VKCKPT_RUNDIR="$VKCKPT_RUNDIR" LANG=C LD_BIND_NOW=1 FILLER="$(seq 2000 | tr '\n' x)" \
	$user "$binary" thaw="$work/elsewhere/moved" thaw.ubd0="$work/there/disk.img" vkckpt="$work/elsewhere/next" \
	</dev/null >>"$work/ticks.log" 2>>"$work/one.log") &
pid=$!
pids="$pids $pid"
until_ticks $((before + 10))
# the kernel itself: the first of the processes that run the binary (unshare and the stubs have the same arguments)
for kernel in $(pgrep -f "thaw=$work/elsewhere/moved"); do
	case $(readlink "/proc/$kernel/exe") in "$binary"*) break ;; esac
done
libc_there=$(libc_of "$kernel")
[ -n "$libc_here" ] && [ -n "$libc_there" ] && [ "$libc_here" != "$libc_there" ] || { echo "libc at $libc_here and at $libc_there"; exit 1; }
now=$(date +%s)
guest=$(grep -a '^TICK.* uml' "$work/ticks.log" | tail -n 1 | cut -d' ' -f3)
[ $((now - guest)) -le 10 ]
kill -53 "$kernel"
i=0; until [ -f "$work/elsewhere/next" ]; do i=$((i + 1)); [ $i -lt 600 ]; sleep 0.1; done
"$vkckpt" verify "$work/elsewhere/next"
rc=0; wait "$pid" || rc=$?
[ $rc -eq 33 ] || { echo "ended with $rc, not 33"; cat "$work/one.log"; exit 1; }
# no line is lost, none comes twice, its clock and its own name are as they were
if grep -a 'TIME WENT BACK' "$work/ticks.log"; then exit 1; fi
grep -a '^TICK.* uml' "$work/ticks.log" | awk '$2 != NR { print "line " NR " is " $0; bad = 1 } END { exit bad }'
echo "note: ${unshare:+in own namespaces$clock, }as ${user:+nobody}${user:-$(id -un)}" | sed 's/nobodysetpriv.*/nobody/'
