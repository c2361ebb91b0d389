# A suspended disk that was copied to another place, as on another host: with vkckpt.disk-digest it is known by its content, with a changed byte it
# is refused by its name, and without a digest the copy is refused. A copy-on-write file likewise.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
cp --sparse=always --reflink=auto "$debian" "$work/back.img"
truncate -s 64M "$work/data.img"
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
exec 7<>/dev/ubdb	# a disk that nobody has open is none of the guest's
head -c 20000000 /dev/urandom >/dev/ubdb
sum=$(head -c 20000000 /dev/ubdb | md5sum)
i=0
while sleep 0.1; do
	i=$((i + 1))
	echo $i >/root/count && sync
	echo 3 >/proc/sys/vm/drop_caches
	[ "$(head -c 20000000 /dev/ubdb | md5sum)" = "$sum" ] && echo "TICK $i good" || echo "TICK $i bad"
done
GUEST
chmod +x "$work/host/run.sh"
uml_boot moved ubd0="$work/cow.img,$work/back.img" ubd1="$work/data.img" vkckpt.disk-digest vkhost="$work/host" vkrun=/run/host/run.sh
# suspended: all disks and their fences are copied to $1, and the first ones are gone
move() {
	uml_suspend moved
	mkdir "$work/$1"
	for disk in cow.img data.img; do
		cp --sparse=always "$2/$disk" "$work/$1/$disk.new"	# another inode, whatever the file system reuses
		cp "$2/$disk.vkckpt" "$work/$1/"
	done
	for disk in cow.img data.img; do
		rm "$2/$disk" "$2/$disk.vkckpt"
		mv "$work/$1/$disk.new" "$work/$1/$disk"
	done
	uml_keep_log moved
}
dry() { "$linux" thaw="$work/moved.vkckpt" thaw.ubd0="$1/cow.img,$work/back.img" thaw.ubd1="$1/data.img" thaw.dry-run </dev/null >"$work/out" 2>&1; }
refused() {	# DEVICE PLACE
	if dry "$2"; then cat "$work/out"; echo "not refused"; exit 1; fi
	grep "$1.*DISK_CHANGED" "$work/out" || { cat "$work/out"; exit 1; }
	if grep "ubd.*DISK_CHANGED" "$work/out" | grep -v "$1"; then echo "refused too"; exit 1; fi
}
thaw() {	# PLACE ARGS...
	place=$1; shift
	uml_thaw moved thaw.ubd0="$place/cow.img,$work/back.img" thaw.ubd1="$place/data.img" "$@"
	uml_until moved 'TICK [0-9]* good' 30 || { cat "$work/moved.log"; exit 1; }
	if grep -a 'TICK.*bad' "$work/moved.log"; then exit 1; fi
	uml_until_armed moved
}
uml_until moved 'TICK 3 good' 60
uml_until_armed moved
move there "$work"
there=$work/there
dry "$there" || { cat "$work/out"; exit 1; }
# one byte, and back
for spot in "ubd1 data.img 12345678" "ubd0 cow.img 300000"; do
	set -- $spot
	dd if="$there/$2" of="$work/byte" bs=1 skip="$3" count=1 2>/dev/null
	tr '\000-\377' '\001-\377\000' <"$work/byte" | dd of="$there/$2" bs=1 seek="$3" conv=notrunc 2>/dev/null
	refused "$1" "$there"
	dd if="$work/byte" of="$there/$2" bs=1 seek="$3" conv=notrunc 2>/dev/null
done
thaw "$there"
# the thawed one goes on recording digests
move further "$there"
thaw "$work/further" vkckpt.disk-digest=off
# and without, a copy is no more than another file
move last "$work/further"
if dry "$work/last"; then echo "a copy without a digest was taken"; exit 1; fi
grep 'ubd[01].*DISK_CHANGED' "$work/out"
grep -q 'disk-digest' "$work/out"
