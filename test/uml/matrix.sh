# The ways an image is written and thawed: eagerly or lazily, with one worker or several, raw or LZ4, through a file or a pipe, as full images and as a
# chain of ten, after which comes a full one. The survivor under I/O stress goes through them and checks itself. Any three of the first four meet in
# each of their combinations, those of a chain in files all; with ORACLE_DEEP=1 the whole product.
set -eu
. vkernel-hooks/uml/lib.sh
lazily=1
uml_has_userfaultfd || {
	echo "note: this host gives this user no userfaultfd: all thaws are eager"; lazily=; }
uml_work
trap uml_clean EXIT
uml_disk
cp build/test/uml/survive test/uml/guests/survive.sh "$work/host/"
uml_boot surv ubd0="$work/disk.img" vkckpt.codec=raw vkckpt.workers=1 vkhost="$work/host" vkrun=/run/host/survive.sh
uml_until surv '^STATE SURV' 60
codec=raw workers=1 legs=0 chain= reader= last=0 whole=
# thaw_as LAZY WORKERS CODEC MEDIUM: what was suspended with $codec and $workers goes on, through a pipe or not, and will be suspended with these. A
# chain needs files, so its images only come through pipes.
thaw_as() {
	uml_until_armed surv
	uml_suspend surv
	[ -z "$reader" ] || wait "$reader"
	[ -z "$reader" ] || mv "$work/piped" "$work/surv.vkckpt"
	reader=
	legs=$((legs + 1))
	uml_keep_log surv
	image=$(ls "$work"/surv.vkckpt "$work"/surv.vkckpt.*.ckpt 2>/dev/null | sort | tail -n 1)
	parent=$(ls "$work"/surv.vkckpt.*.ckpt 2>/dev/null | sort | tail -n 2 | head -n 1)
	"$vkckpt" info --json "$image" >"$work/info"
	said=$(perl -MJSON::PP -0777 -ne '$d = decode_json($_); print "$d->{statistics}{codec} $d->{statistics}{workers} ", @{$d->{chain}} + 1' "$work/info")
	number=${said##* } said=${said% *}
	echo "leg $legs: $(basename "$image"), $said, number $number of its chain; then $*${chain:+, a chain}"
	[ "$said" = "$codec $workers" ] || { echo "not $codec $workers: $said"; exit 1; }
	case $image in *.ckpt) ;; *) last=0 ;; esac
	[ "$number" = $((last % 10 + 1)) ] || { echo "number $number behind number $last, in chains of ten"; exit 1; }
	[ "$number" != 10 ] || whole=yes
	last=$number lazy=$1 workers=$2 codec=$3 medium=$4
	[ "$medium" = file ] || last=0
	set -- vkckpt.codec=$codec vkckpt.workers=$workers $chain
	[ "$lazy" = eager ] || [ -z "$lazily" ] || set -- "$@" thaw.lazy=required
	if [ "$medium" = file ]; then
		"$linux" thaw="$image" "$@" vkckpt="$work/surv.vkckpt" </dev/null >>"$work/surv.log" 2>&1 &
	elif [ -n "$chain" ]; then
		[ "$parent" = "$image" ] || [ -z "$parent" ] || set -- "$@" thaw.parent="$parent"
		cat "$image" 2>/dev/null >"$work/in" &
		"$linux" thaw=fd:4 "$@" vkckpt="$work/surv.vkckpt" 4<"$work/in" </dev/null >>"$work/surv.log" 2>&1 &
	else
		cat "$image" >"$work/in" &
		cat <"$work/out" >"$work/piped" &
		reader=$!
		"$linux" thaw=fd:4 "$@" vkckpt=fd:3 3>"$work/out" 4<"$work/in" </dev/null >>"$work/surv.log" 2>&1 &
	fi
	pid=$!
	pids="$pids $pid"
	uml_until surv '^STATE' 60 || { cat "$work/surv.log"; exit 1; }
	sleep "0.$((legs % 5 + 1))"
}
mkfifo "$work/in" "$work/out"
go() {	# WAYS
	for way in $1; do
		# shellcheck disable=SC2046
		thaw_as $(echo "$way" | tr , ' ')
	done
}
files="eager,1,raw,file lazy,4,raw,file lazy,1,lz4,file eager,4,lz4,file"
pipes="lazy,1,raw,pipe eager,4,raw,pipe eager,1,lz4,pipe lazy,4,lz4,pipe"
more_files="lazy,1,raw,file eager,4,raw,file eager,1,lz4,file lazy,4,lz4,file"
more_pipes="eager,1,raw,pipe lazy,4,raw,pipe lazy,1,lz4,pipe eager,4,lz4,pipe"
go "$files $pipes"
[ -z "${ORACLE_DEEP:-}" ] || go "$more_files $more_pipes"
chain=vkckpt.chain=10
[ -z "${ORACLE_DEEP:-}" ] || pipes="$pipes $more_pipes"
for pipe in $pipes; do go "$pipe eager,4,raw,file"; done	# behind a pipe a chain begins anew
go "$files $more_files eager,4,lz4,file"
thaw_as eager 0 lz4:2 file
uml_survived surv
[ -n "$whole" ] || { echo "no image was the tenth of its chain"; exit 1; }

# what is no value is refused at a thaw, and said at a boot
for bad in vkckpt.codec=zstd vkckpt.workers=100 vkckpt.workers= vkckpt.workers=-1 vkckpt.chain=1 vkckpt.name=x vkckpt.codec; do
	rc=0
	"$linux" thaw="$image" $bad </dev/null >"$work/bad.log" 2>&1 || rc=$?
	grep -a "$bad: not a parameter of a thaw, or not a value of it (BAD_ARGUMENT)" "$work/bad.log" || { cat "$work/bad.log"; exit 1; }
	[ $rc -eq 1 ]
done
rc=0
"$linux" thaw=fd:4 4<"$image" </dev/null >"$work/bad.log" 2>&1 || rc=$?
grep -a 'vkckpt= must say where the next one goes (BAD_ARGUMENT)' "$work/bad.log"
[ $rc -eq 1 ]
rc=0
head -c 100000 "$image" | "$linux" thaw=fd:4 vkckpt="$work/x" 4<&0 </dev/null >"$work/bad.log" 2>&1 || rc=$?
grep -a TRUNCATED "$work/bad.log"
[ $rc -eq 1 ]
echo "note: $legs suspends and thaws"
