# The guard that every test here runs under: what a test leaves behind is named, fails it and is ended; an interrupt, too, leaves no process, no
# mount and no folder.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
mark=$(($$ % 10000 + 100000))
left() { pgrep -f "sleep $mark" || true; }

rc=0; build/test/uml/guard 20 sh -c "setsid sh -c 'sleep $mark & sleep $mark' >/dev/null 2>&1 & sleep 0.2" >"$work/out" 2>&1 || rc=$?
[ $rc -eq 99 ] && [ "$(grep -c "left behind: .*sleep $mark" "$work/out")" -ge 2 ] || { echo "$rc"; cat "$work/out"; exit 1; }
[ -z "$(left)" ] || { echo "left behind, and not ended: $(left)"; exit 1; }
rc=0; build/test/uml/guard 1 sh -c "sleep $mark" >"$work/out" || rc=$?
[ $rc -eq 124 ] || { echo "status $rc, not 124, of a test that takes too long"; exit 1; }
[ -z "$(left)" ] || { echo "of a test that takes too long is left $(left)"; exit 1; }
rc=0; build/test/uml/guard 20 sh -c 'exit 7' || rc=$?
[ $rc -eq 7 ]

# the whole run interrupted in the middle of a guest
cat >"$work/one.sh" <<TEST
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
echo "\$work" >"$work/place"
uml_disk
[ "\$(id -u)" != 0 ] || { mkdir "\$work/m"; mount -t tmpfs tidy-$mark "\$work/m"; }
uml_boot tidy ubd0="\$work/disk.img"
setsid sleep $mark &
uml_until_armed tidy
touch "$work/up"
sleep 100
TEST
sh test/uml/run.sh "$work/one.sh" >"$work/run.log" 2>&1 &
run=$!
i=0; until [ -e "$work/up" ]; do i=$((i + 1)); [ $i -lt 600 ]; sleep 0.1; done
place=$(cat "$work/place")
[ -n "$(pgrep -f "$place")" ]
[ -n "$(left)" ]
kill -TERM $run
rc=0; wait $run || rc=$?
[ $rc -eq 130 ] || { echo "status $rc, not 130, of a run that was interrupted"; cat "$work/run.log"; exit 1; }
sleep 0.3
[ -z "$(left)$(pgrep -f "$place" || true)" ] || { echo "processes are left: $(left) $(pgrep -a -f "$place")"; exit 1; }
for folder in "$place" "${place%/*}"; do [ ! -e "$folder" ] || { echo "$folder is left"; exit 1; }; done
if grep "tidy-$mark" /proc/self/mounts; then echo "it is still mounted"; exit 1; fi
