# The survivor under I/O stress through CYCLES suspends and thaws; then the file system must be clean.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
cycles=${CYCLES:-40}
uml_disk
cp build/test/uml/survive test/uml/guests/survive.sh "$work/host/"
uml_boot surv ubd0="$work/disk.img" vkhost="$work/host" vkrun=/run/host/survive.sh
uml_until surv '^STATE SURV' 60
n=0
while [ $n -lt "$cycles" ]; do
	n=$((n + 1))
	uml_suspend surv
	uml_keep_log surv
	uml_thaw surv
	uml_until surv '^STATE' 60 || { cat "$work/surv.log"; exit 1; }
	uml_until_armed surv
	sleep "0.$((n % 7 + 1))"
done
uml_survived surv
e2fsck -f -n "$work/disk.img"
echo "note: $cycles cycles, $(grep -a -c '^STATE' "$work/all.log") looks"
