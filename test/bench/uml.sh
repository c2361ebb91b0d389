#!/bin/sh
# test/bench/uml.sh OUT RUNS MEM...: a User Mode Linux guest with so much RAM and always the same in it, suspended and thawed, eagerly and
# lazily (where the host gives userfaultfd); each line of OUT is MEM, a phase and its nanoseconds, separated by tabs. All sizes and ways take
# turns. What a thaw took stands in the next image's statistics.
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

ways="eager lazy"
uml_has_userfaultfd || ways=eager

say() { printf '%s\t%s\t%s\n' "$size" "$1" "$2" >>"$out"; }
# told WORD: this number of the statistics
told() { sed -n "s/.*\"$1\": \([0-9][0-9]*\).*/\1/p" "$work/info" | head -n 1; }
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
	for way in $ways; do
		for size; do
			if [ $way = lazy ]; then uml_thaw "g$size" thaw.lazy=required; else uml_thaw "g$size"; fi
			uml_until_armed "g$size"
			"$vkckpt" wait "g$size" >/dev/null
			suspend
			all=0
			for phase in load vmspaces devices tasks; do
				ns=$(told thaw_${phase}_ns)
				say "$way.$phase" "$ns"
				all=$((all + ns))
			done
			say "$way.all" $all
			for phase in freeze devices walk write; do say $phase "$(told ${phase}_ns)"; done
		done
	done
done
