#!/bin/sh
# test/bench/uml.sh OUT RUNS MEM...: a User Mode Linux guest with so much RAM and always the same in it, suspended and thawed; each line of
# OUT is MEM, a phase and its nanoseconds, separated by tabs. All sizes take turns. What a thaw took stands in the next image's statistics.
set -eu
out=$1 runs=$2
shift 2
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
mkdir -p "$work/host"
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/sh
head -c 33554432 /dev/urandom >/dev/shm/live
echo FILLED
exec sleep 100000
GUEST
chmod +x "$work/host/run.sh"
: >"$out"

# told FILE WORD...: these numbers of its JSON
told() {
	file=$1; shift
	for word; do
		printf '%s\t%s\t%s\n' "$size" "$word" "$(sed -n "s/.*\"$word\": \([0-9][0-9]*\).*/\1/p" "$file" | head -n 1)" >>"$out"
	done
}
suspend() {
	uml_suspend "g$size" >/dev/null
	"$vkckpt" info --json "$work/g$size.vkckpt" >"$work/info"
}
for size; do
	cp --sparse=always --reflink=auto "$debian" "$work/$size.img"
	mem=$size
	uml_boot "g$size" ubd0="$work/$size.img" vkhost="$work/host" vkrun=/run/host/run.sh
	uml_until "g$size" FILLED 300
	uml_until_armed "g$size"
	suspend
done
while [ "$runs" -gt 0 ]; do
	runs=$((runs - 1))
	for size; do
		uml_thaw "g$size"
		uml_until_armed "g$size"
		"$vkckpt" status --json "g$size" >"$work/status"
		began=$(sed -n 's/.*"began_ns": \([0-9]*\).*/\1/p' "$work/status") ready=$(sed -n 's/.*"ready_ns": \([0-9]*\).*/\1/p' "$work/status")
		printf '%s\tready_ns\t%s\n' "$size" $((ready - began)) >>"$out"
		suspend
		told "$work/info" thaw_load_ns thaw_vmspaces_ns thaw_devices_ns thaw_tasks_ns freeze_ns devices_ns walk_ns write_ns
	done
done
