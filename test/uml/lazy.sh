# Lazy thaws, chains and clones. The survivor under I/O stress goes through suspends into a chain of incremental images, each thawed lazily, by turns
# to its end and on demand alone. Clones of it run beside each other, with names, addresses, random numbers and disks of their own, while image
# and disk stay the survivor's. What is damaged refuses or stops a clone with a message, and no userfaultfd is said aloud.
set -eu
. vkernel-hooks/uml/lib.sh
uml_has_userfaultfd || {
	echo "this host gives this user no userfaultfd"; exit 77; }
uml_work
trap uml_clean EXIT
cycles=${CYCLES:-4}
cp build/test/uml/survive test/uml/guests/survive.sh "$work/host/"
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
head -c 40000000 /dev/urandom >/run/ballast	# nothing that a thaw wants first
md5sum </run/ballast >/run/sum
(while sleep 0.3; do echo "WHO $(cat /sys/class/net/vec0/address) $(head -c 6 /dev/urandom | od -An -tx1 | tr -d ' ')"; done) &
/run/host/survive.sh
md5sum </run/ballast | cmp - /run/sum && echo "BALLAST good"
GUEST
chmod +x "$work/host/run.sh"
uml_boot surv ubd0="$work/cow.img,$debian" vec0:transport=tap,ifname=vknone,mac=02:00:00:00:99:07 vkckpt.chain=64 vkhost="$work/host" \
	vkrun=/run/host/run.sh
uml_until surv '^STATE SURV' 60
newest() { ls "$work"/surv.vkckpt.*.ckpt | sort | tail -n 1; }
thaw() { # NAME ARGS...: of the newest image
	name=$1; shift
	"$linux" thaw="$(newest)" "$@" </dev/null >>"$work/$name.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
}
n=0
while [ $n -lt "$cycles" ]; do
	n=$((n + 1))
	uml_suspend surv
	uml_keep_log surv
	if [ $((n % 2)) -eq 1 ]; then thaw surv thaw.lazy=required; else thaw surv thaw.lazy=required,demand; fi
	uml_until surv '^STATE' 60 || { cat "$work/surv.log"; exit 1; }
	uml_until_armed surv
	"$vkckpt" status surv | grep RAM
	[ $((n % 2)) -ne 1 ] || "$vkckpt" wait -t 60 surv
	sleep "0.$((n % 7 + 1))"
done
uml_suspend surv
original=$pid
uml_keep_log surv
ls -l "$work"/surv.vkckpt*
"$vkckpt" verify "$(newest)"
"$vkckpt" info "$work/surv.vkckpt.0002.ckpt" | grep "number 2 of its chain"

# clones
sum=$(md5sum <"$work/cow.img")
for clone in left right; do
	uml_keep_log "$clone"
	thaw $clone thaw.clone=$clone vkckpt="$work/$clone.ckpt" thaw.lazy=required,demand
	uml_until_armed $clone
	while [ "$(grep -a -c '^WHO' "$work/$clone.log")" -lt 3 ]; do	# the first one may have been begun before
		kill -0 "$pid" || { cat "$work/$clone.log"; exit 1; }
		sleep 0.1
	done
	[ "$(cat "$work/home/.uml/$clone/pid")" = "$pid" ]
	[ -e "$work/cow.img.$clone" ]
done
for clone in left right; do uml_mconsole $clone version; done	# each has a management console of its own
"$vkckpt" list
who() { grep -a '^WHO [0-9a-f:]\{17\} [0-9a-f]\{12\}' "$work/$1.log" | tail -n 1; }
set -- $(who left) $(who right)
echo "clones: $*"
[ "$2" != "$5" ] || { echo "two clones with one Ethernet address"; exit 1; }
for address in "$2" "$5"; do [ "$address" != 02:00:00:00:99:07 ] || { echo "a clone with the original's Ethernet address"; exit 1; }; done
for number in $(grep -a '^WHO' "$work/left.log" | tail -n +2 | cut -d' ' -f3 | tr -d '\r'); do
	if grep -a "^WHO.* $number" "$work/right.log"; then echo "clones with the same random numbers"; exit 1; fi
done
"$vkckpt" suspend left
for p in $pids; do [ "$p" = "$original" ] || kill -9 "$p" 2>/dev/null || true; done

# a parent that is damaged: stopped when it is touched, or refused if some of it is wanted first
last=$(newest)
first=$work/surv.vkckpt.0001.ckpt
cp "$first" "$work/good"
bytes=$(stat -c %s "$first")
dd if=/dev/zero of="$first" bs=4096 seek=$((bytes * 6 / 10 / 4096)) count=$((bytes * 3 / 10 / 4096)) conv=notrunc 2>/dev/null
rc=0
timeout 60 "$linux" thaw="$last" thaw.clone=third thaw.lazy=required vkckpt="$work/third.ckpt" </dev/null >"$work/third.log" 2>&1 || rc=$?
tail -n 3 "$work/third.log"
grep -a 'surv.vkckpt.0001.ckpt.*DAMAGED' "$work/third.log"
case $rc in
1) ;;
34) grep -a 'stopped: RAM cannot be completed' "$work/third.log" ;;
*) echo "ended with $rc on a damaged parent"; exit 1 ;;
esac
cp "$work/good" "$first"

# without userfaultfd
if [ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 0 ] && [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	uml_keep_log fourth
	unshare -m sh -c '[ ! -c /dev/userfaultfd ] || mount --bind /dev/null /dev/userfaultfd
		exec setpriv --bounding-set=-all --inh-caps=-all "$@"' - "$linux" thaw="$last" thaw.clone=fourth thaw.lazy vkckpt="$work/fourth.ckpt" </dev/null >>"$work/fourth.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	uml_until fourth '^STATE' 60 || { cat "$work/fourth.log"; exit 1; }
	grep -a 'userfaultfd.*LAZY_UNAVAILABLE.*loaded before the guest ran' "$work/fourth.log"
	kill -9 "$pid"
fi
[ "$(md5sum <"$work/cow.img")" = "$sum" ]

# and the survivor itself
thaw surv thaw.lazy
uml_until surv '^STATE' 60
uml_survived surv
grep -a '^BALLAST good' "$work/all.log"
echo "note: $cycles lazy thaws in a chain, 2 clones, $(grep -a 'phases of the thaw' "$work/all.log" | tail -n 1 | tr -d '\r')"
