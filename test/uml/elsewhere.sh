# "Another host", as far as one machine can play it: other pid and UTS namespaces, another folder for disk and image, working directory,
# environment, umid folder and console, a lower monotonic clock where time namespaces can be had; and an ordinary user all the way.
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
	echo "TICK $i $(date +%s)"
done
GUEST
chmod +x "$work/host/run.sh"
user=
if [ "$(id -u)" = 0 ]; then
	chown -R nobody "$work" && chmod 755 "$work"
	user="setpriv --reuid=nobody --regid=$(id -g nobody) --clear-groups --inh-caps=-all"
	cp "$linux" "$vkckpt" "$work/"
	linux=$work/linux vkckpt=$work/vkckpt
fi
boot() { $user "$linux" mem=256M umid=one vkckpt="$work/one.vkckpt" root=/dev/ubda rw init=/sbin/vkinit con=null con0=null,fd:1 ssl=null quiet \
	ubd0="$work/here/disk.img" vkckpt.binary=keep vkhost="$work/host" vkrun=/run/host/run.sh </dev/null >"$work/one.log" 2>&1 & pid=$!; pids="$pids $pid"; }
boot
uml_until one TICK 60
$user "$vkckpt" suspend one
rc=0; wait "$pid" || rc=$?; [ $rc -eq 33 ]
binary=$($user "$vkckpt" info "$work/one.vkckpt" | grep -o 'binary=[^ ]*' | cut -d= -f2)
cmp "$binary" "$linux"
before=$(grep -a -o 'TICK [0-9]*' "$work/one.log" | tail -n 1 | cut -d' ' -f2)

mv "$work/here" "$work/there"
mkdir "$work/elsewhere" && [ -z "$user" ] || chown nobody "$work/elsewhere"
mv "$work/one.vkckpt" "$work/elsewhere/moved"
unshare=
if [ "$(id -u)" = 0 ]; then
	unshare="unshare --fork --pid --uts --mount-proc"
	unshare --time --monotonic -3000 true 2>/dev/null && unshare="$unshare --time --monotonic -3000"
fi
(cd / && exec $unshare env -i HOME="$work/elsewhere" VKCKPT_RUNDIR="$VKCKPT_RUNDIR" LANG=C LD_BIND_NOW=1 FILLER="$(seq 2000 | tr '\n' x)" \
	$user "$linux" thaw="$work/elsewhere/moved" thaw.ubd0="$work/there/disk.img" vkckpt="$work/elsewhere/next" \
	</dev/null >"$work/one.log" 2>&1) &
pid=$!
pids="$pids $pid"
uml_until one TICK 30
sleep 1
after=$(grep -a -o 'TICK [0-9]*' "$work/one.log" | head -n 1 | cut -d' ' -f2)
[ "$after" -gt "$before" ] && [ "$after" -le $((before + 3)) ]
! grep -a 'TIME WENT BACK' "$work/one.log"
now=$(date +%s)
guest=$(grep -a '^TICK' "$work/one.log" | tail -n 1 | cut -d' ' -f3)
[ $((now - guest)) -le 2 ]
# the kernel itself: the first of the processes that run the binary (unshare's parent and the stubs have the same arguments)
for p in $(pgrep -f "thaw=$work/elsewhere/moved"); do
	case $(readlink "/proc/$p/exe") in "$linux"*) kill -53 "$p"; break ;; esac
done
i=0; until [ -f "$work/elsewhere/next" ]; do i=$((i + 1)); [ $i -lt 100 ]; sleep 0.1; done
"$vkckpt" verify "$work/elsewhere/next"
echo "note: ${unshare:+in own namespaces, }as ${user:+nobody}${user:-$(id -un)}" | sed 's/nobodysetpriv.*/nobody/'
