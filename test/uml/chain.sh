# A kernel that goes on behind its checkpoints keeps a chain by itself; the first image of another run is built on a given one (vkckpt.parent);
# a chain flattened to one image thaws without it; what differs between two images is told by the guest's processes.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
uml_disk
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
cp /bin/bash /run/grower
/run/grower -c 'more=$(head -c 3000000 /dev/zero | tr "\0" x); while sleep 0.2; do kept=$kept$more; done' &
i=0
while sleep 0.1; do i=$((i + 1)); echo "TICK $i $(head -n 1 /dev/vkckpt)"; done
GUEST
chmod +x "$work/host/run.sh"
# boot NAME ARGS...: no disk that is written to, so nothing has to be frozen beside an image
boot() {
	name=$1; shift
	uml_keep_log "$name"
	"$linux" mem=128M umid="$name" vkckpt="$work/$name.vkckpt" root=/dev/ubda ro init=/sbin/vkinit con=null con0=null,fd:1 ssl=null $quiet \
		ubd0r="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh "$@" </dev/null >>"$work/$name.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	uml_until "$name" 'TICK 3 ' 60
}
ticks() { grep -a -o 'TICK [0-9]*' "$work/$1.log" | tail -n 1 | cut -d' ' -f2; }
until_file() { i=0; until [ -e "$1" ]; do i=$((i + 1)); [ $i -lt 600 ] || { echo "no $1"; cat "$work/$name.log"; exit 1; }; sleep 0.1; done; }
end() { kill -9 "$pid"; wait "$pid" || true; }

boot one vkckpt.action=continue
uml_until_armed one
kill -52 "$pid"
until_file "$work/one.vkckpt.0001.ckpt"
uml_until one "TICK $(($(ticks one) + 8)) " 30
kill -52 "$pid"
until_file "$work/one.vkckpt.0002.ckpt"
[ ! -e "$work/one.vkckpt" ]
end
full=$(stat -c %s "$work/one.vkckpt.0001.ckpt") more=$(stat -c %s "$work/one.vkckpt.0002.ckpt")
[ "$more" -lt $((full / 2)) ] || { echo "an increment of $more bytes upon $full"; exit 1; }
"$vkckpt" diff "$work/one.vkckpt.0001.ckpt" "$work/one.vkckpt.0002.ckpt" | tee "$work/diff"
grep -q '^the second is built on the first' "$work/diff"
# who grew by 3 MB and more stands in front of all other processes
sed -n '/^ *PID /{n;p;}' "$work/diff" | grep '^ *[0-9][0-9]* *grower .* MiB' || { echo "not the grower"; exit 1; }

# another run, upon the last image of this one
boot two vkckpt.parent="$work/one.vkckpt.0002.ckpt"
uml_until_armed two
uml_suspend two
at=$(ticks two)
image=$work/two.vkckpt.0001.ckpt
"$vkckpt" info "$image" | grep 'number 3 of its chain'
"$vkckpt" verify "$image"
"$vkckpt" flatten -o "$work/flat" "$image"
mkdir "$work/away"
mv "$work"/*.ckpt "$work/away/"
"$vkckpt" verify "$work/flat"
if "$linux" thaw="$work/away/two.vkckpt.0001.ckpt" thaw.dry-run thaw.parent="$work/flat" </dev/null >"$work/out" 2>&1; then exit 1; fi
grep PARENT "$work/out"
uml_keep_log two
"$linux" thaw="$work/flat" vkckpt="$work/next" vkckpt.chain=off </dev/null >>"$work/two.log" 2>&1 &
pid=$!
pids="$pids $pid"
uml_until two 'TICK [0-9]* .*thaws=1' 30
[ "$(grep -a -o 'TICK [0-9]*' "$work/two.log" | head -n 1 | cut -d' ' -f2)" -le $((at + 1)) ]
uml_until two "TICK $((at + 5)) " 30
uml_suspend two
[ -e "$work/next" ]		# chain=off: under its plain name

# what is no parent is said, and the kernel runs without checkpoints
for bad in "$work/next" "$work/none"; do
	boot three vkckpt.parent="$bad"
	grep -a "$(basename "$bad").*\(PARENT_UNFIT\|NOT_FOUND\)" "$work/three.log"
	end
done
boot three vkckpt.parent="$work/away/one.vkckpt.0001.ckpt" vkckpt.chain=off
grep -a 'parent_path: set chain too' "$work/three.log"
end
echo "note: increment of $((more >> 10)) KiB upon $((full >> 10)) KiB"
