# What must be refused is, by name, and harms nothing: another build's image, a suspended disk at boot, a disk in use, a changed disk, a missing
# device, a wrong override, an open channel that cannot be thawed, a second thaw.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
uml_disk
mkdir "$work/a"
mv "$work/disk.img" "$work/a/"
printf '#!/bin/sh\ni=0\nwhile sleep 0.2; do i=$((i + 1)); echo "TICK $i"; echo $i >/root/tick; done\n' >"$work/host/run.sh"
chmod +x "$work/host/run.sh"
refused() {	# PATTERN COMMAND...: it fails and says so
	want=$1; shift
	if timeout 30 "$@" >"$work/out" 2>&1 </dev/null; then echo "not refused: $*"; cat "$work/out"; exit 1; fi
	grep -q -- "$want" "$work/out" || { echo "refused, but not with $want: $*"; cat "$work/out"; exit 1; }
}
uml_boot one ubd0="$work/a/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh
uml_until one TICK 60
refused 'DISK_IN_USE\|Failed to lock' "$linux" mem=128M umid=two ubd0="$work/a/disk.img" root=/dev/ubda rw con=null con0=null,fd:1 ssl=null panic=1
refused NOT_FROZEN "$vkckpt" checkpoint one
"$vkckpt" checkpoint --ram-only one
uml_suspend one

refused DISK_SUSPENDED "$linux" mem=128M umid=two ubd0="$work/a/disk.img" root=/dev/ubda rw con=null con0=null,fd:1 ssl=null panic=1
# another build: the same program under another build id
id=$(readelf -n "$linux" | sed -n 's/.*Build ID: //p')
perl -0777 -pe "s/\Q\${\(pack 'H*', '$id')}\E/pack 'H*', '$(echo "$id" | tr 0-9a-f a-f0-9)'/e" "$linux" >"$work/other"
chmod +x "$work/other"
refused BUILD_DIFFERS "$work/other" thaw="$work/one.vkckpt"
refused DISK_MISSING "$linux" thaw="$work/one.vkckpt" thaw.ubd0=/nowhere
refused OVERRIDE_UNKNOWN "$linux" thaw="$work/one.vkckpt" thaw.ubd7=/nowhere
refused 'not a parameter of a thaw' "$linux" thaw="$work/one.vkckpt" mem=1G
refused 'no channel that can be thawed' "$linux" thaw="$work/one.vkckpt" thaw.con0=port:9000
dd if="$work/one.vkckpt" of="$work/short" bs=4096 count=100 2>/dev/null
refused TRUNCATED "$linux" thaw="$work/short"
refused 'not a parameter of a thaw' "$linux" thaw="$work/one.vkckpt" thaw.dry-run=yaml
# addresses that this binary never had, with checksums that are right; the same image put together unchanged is a good one
for what in ram region; do
	build/test/uml/forge $what "$work/one.vkckpt" "$work/forged"
	refused 'in none of the vkernel.s places.*LAYOUT_DIFFERS' "$linux" thaw="$work/forged"
done
# a dry run: whether it can be thawed, and everything that is in the way, for a person and for a program
"$linux" thaw="$work/one.vkckpt" thaw.dry-run | grep 'one.vkckpt can be thawed here'
json() {	# STATUS ANSWER IMAGE OVERRIDE...: jq does not come with Debian
	want=$1 answer=$2 image=$3 rc=0; shift 3
	"$linux" thaw="$image" thaw.dry-run=json "$@" >"$work/json" 2>"$work/err" </dev/null || rc=$?
	perl -MJSON::PP -0777 -ne '$d = decode_json($_); print $d->{thawable} ? "yes" : "no", map({ " $_->{reason} $_->{subject}" } @{$d->{refusals}}), "\n"' \
		"$work/json" >"$work/out"
	[ $rc = "$want" ] && [ ! -s "$work/err" ] && grep -q -x -- "$answer" "$work/out" || { echo "$rc"; cat "$work/json" "$work/out" "$work/err"; exit 1; }
}
json 0 yes "$work/one.vkckpt"
json 1 'no DISK_MISSING ubd0' "$work/one.vkckpt" thaw.ubd0=/nowhere
json 1 'no LAYOUT_DIFFERS.* DISK_MISSING ubd0.*' "$work/forged" thaw.ubd0=/nowhere
json 1 'no TRUNCATED.*' "$work/short"
json 1 'no NOT_FOUND .*' "$work/nothing"
"$vkckpt" verify "$work/one.vkckpt"		# and nothing was touched

# a disk that somebody wrote to meanwhile
cp -p "$work/a/disk.img" "$work/kept"
refused DISK_CHANGED sh -c "printf x | dd of='$work/a/disk.img' bs=1 seek=5000 conv=notrunc 2>/dev/null; '$linux' thaw='$work/one.vkckpt'"
"$vkckpt" discard "$work/a/disk.img"
refused DISK_ "$linux" thaw="$work/one.vkckpt"

# afterwards the disk boots again; in use it cannot be thawed twice
uml_boot two ubd0="$work/a/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh
uml_until two TICK 60
uml_suspend two
cp "$work/two.vkckpt" "$work/again.vkckpt"
uml_keep_log two
uml_thaw two
uml_until two TICK 30
refused 'BUSY\|DISK_IN_USE' "$linux" thaw="$work/again.vkckpt"
mv "$work/home" "$work/home2"
mkdir "$work/home"	# not the umid but the fence
refused DISK_IN_USE "$linux" thaw="$work/again.vkckpt"
rmdir "$work/home"
mv "$work/home2" "$work/home"
uml_until_armed two
uml_keep_log two
uml_until two TICK 10

# a process with an LDT; a file of the host that a guest process has open and that is gone: the request fails by name, the guest runs on
kill -9 "$pid"; wait "$pid" || true
cp --sparse=always "$debian" "$work/three.img"
echo text >"$work/host/data"
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
mount -t hostfs -o "$(tr ' ' '\n' </proc/cmdline | sed -n 's/^vkhost=//p')" none /mnt
exec 5</mnt/data
/run/host/ldt /mnt/noldt &
while sleep 0.2; do echo TICK; done
GUEST
cp build/test/uml/ldt "$work/host/"
uml_boot three ubd0="$work/three.img" vkhost="$work/host" vkrun=/run/host/run.sh
uml_until three 'LDT written' 60
refused 'ldt: a process with an LDT' "$vkckpt" suspend three
touch "$work/host/noldt"
uml_until three 'LDT gone' 20
rm "$work/host/data"
refused 'hostfs: a guest process has' "$vkckpt" suspend three
uml_keep_log three
uml_until three TICK 10
