# A request that comes before the kernel can serve it is served when it can: one that is pending when the kernel is executed, at a boot and at each
# of several thaws.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
HOME=$work/home/of-a-name-that-takes-the-path-of-the-umid-beyond-64-bytes	# which is no reason not to be armed
mkdir "$HOME"
uml_disk
printf '#!/bin/sh\ni=0\nwhile sleep 0.1; do i=$((i + 1)); echo "TICK $i"; done\n' >"$work/host/run.sh"
chmod +x "$work/host/run.sh"
# the signal is blocked and pending from before execve on
pending() { perl -e 'use POSIX; my $n = shift; sigprocmask(SIG_BLOCK, POSIX::SigSet->new($n)); kill $n, $$; exec @ARGV or die' "$@"; }
ends_suspended() {
	rc=0
	"$@" </dev/null >>"$work/one.log" 2>&1 || rc=$?
	[ $rc -eq 33 ] || { echo "status $rc, not 33: $*"; cat "$work/one.log"; exit 1; }
}
ends_suspended pending 52 "$linux" mem=128M umid=one vkckpt="$work/one.vkckpt" root=/dev/ubda rw init=/sbin/vkinit con=null con0=null,fd:1 ssl=null $quiet \
	ubd0="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh
for round in 1 2 3; do
	ends_suspended pending $((52 + round % 2)) "$linux" thaw="$work/one.vkckpt"
done
# one that nobody blocked beforehand: the kernel blocks it as the first thing it does, long before it can serve it
blocked() { grep -q '^SigBlk:.\{4\}[89a-f]' "/proc/$pid/status" 2>/dev/null; }	# signal 52
uml_thaw one
i=0
until blocked; do i=$((i + 1)); [ $i -lt 2000 ]; kill -0 "$pid"; done
kill -52 "$pid"
rc=0; wait "$pid" || rc=$?
[ $rc -eq 33 ] || { echo "status $rc, not 33, of a signal at the start"; exit 1; }
uml_thaw one
uml_until one TICK 60
echo "note: at the boot and at four thaws"
