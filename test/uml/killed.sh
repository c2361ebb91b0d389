# A kernel that is killed at any moment of its thaw, while it makes a stub process for each address space, leaves no process behind: a stopped stub
# would hold the disk's lock for ever.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
cat >"$work/host/many" <<'GUEST'
#!/bin/bash
for i in $(seq 120); do sleep 100000 & done
echo "STATE many"
wait
GUEST
chmod +x "$work/host/many"
uml_boot many ubd0="$work/cow.img,$debian" vkhost="$work/host" vkrun=/run/host/many
uml_until many '^STATE many' 60
uml_until_armed many
uml_suspend many
began=$(date +%s%N)
uml_thaw many thaw.clone=first vkckpt="$work/first.ckpt"
uml_until_armed first
whole=$((($(date +%s%N) - began) / 1000))
kill -9 "$pid" && wait "$pid" || true
n=0
while [ $n -lt 60 ]; do
	n=$((n + 1))
	uml_thaw many thaw.clone=next vkckpt="$work/next.ckpt"
	usleep=$((whole * n / 60))
	sleep "$(printf '%d.%06d' $((usleep / 1000000)) $((usleep % 1000000)))"
	kill -9 "$pid" && wait "$pid" || true
	rm -f "$work"/cow.img.next* "$work"/next*
done
i=0
while pgrep -f "thaw=$work/many.vkckpt" >/dev/null; do
	i=$((i + 1))
	[ $i -lt 600 ] || { pgrep -a -f "thaw=$work/many.vkckpt"; exit 1; }
	sleep 0.1
done
echo "note: killed $n times within $((whole / 1000)) ms"
