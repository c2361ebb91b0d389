# make play-uml as a person uses it, on a terminal: a shell, suspended from another terminal, gone on with by the same command, suspended from
# inside, gone on with again, ended. The terminal is a normal one after each.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
export PLAY="$work/play" TERM=linux
leg() {	# NAME: with the script on standard input
	build/test/uml/terminal 30 100 sh vkernel-hooks/uml/play.sh >"$work/$1.log" || { cat "$work/$1.log"; exit 1; }
}
leg first <<SCRIPT
expect In another terminal
expect root@uml
raw
send cd /etc; KEPT=kept; sleep 1000 &\r
expect root@uml
send echo "\$((6 * 7)) \$(stty size)"\r
expect 42 30 100
send read -r typed; echo "read \$typed"\r
host $vkckpt suspend play
expect suspended to
cooked
end 0
SCRIPT
leg second <<SCRIPT
expect going on with
raw
send a line after the thaw\r
expect read a line after the thaw
send echo "\$KEPT \$PWD \$(jobs | wc -l)"\r
expect kept /etc 1
send echo suspend >/dev/vkckpt\r
expect suspended to
cooked
end 0
SCRIPT
leg third <<SCRIPT
expect going on with
expect Stale file handle
expect root@uml
send head -n 1 /dev/vkckpt\r
expect thaws=2
send poweroff -f\r
end 0
SCRIPT
grep -a 'image' "$work/first.log" | tail -n 1
e2fsck -f -n "$work/play/disk.img" >"$work/fsck" 2>&1 || { cat "$work/fsck"; exit 1; }
