# A storm of the signals that are the kernel's interrupts, before, in and behind every suspend: it ends as a suspended one all the same, and the
# thawed one goes on. (The end of a kernel is no place for interrupts: one that was taken there brought it down.)
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
uml_disk
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/sh
while :; do echo TICK; sleep 0.1; done
GUEST
chmod +x "$work/host/run.sh"
mem=128M
uml_boot storm ubd0="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh
uml_until storm TICK 60
uml_until_armed storm
for signal in ALRM IO WINCH ALRM ALRM; do
	perl -e 'while (kill $ARGV[0], $ARGV[1]) { select undef, undef, undef, 0.0005 }' $signal "$pid" &
	pids="$pids $!"
	uml_suspend storm
	uml_keep_log storm
	uml_thaw storm
	uml_until storm TICK 60
	uml_until_armed storm
done
uml_suspend storm
uml_silent "$work/storm.log"
