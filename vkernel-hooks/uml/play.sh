#!/bin/sh
# make play-uml: a shell in a Debian guest on this terminal, with hints for a second one. Disk and image stay in build/uml/play, or PLAY=FOLDER.
set -eu
cd "$(dirname "$0")/../.."
linux=$PWD/build/uml/linux
debian=$PWD/build/uml/debian.img
play=${PLAY:-build/uml/play}
mkdir -p "$play"
cd "$play"
[ -f disk.img ] || cp --sparse=always --reflink=auto "$debian" disk.img
cat <<TEXT
In another terminal, in this project's folder:
    build/bin/vkckpt list
    build/bin/vkckpt suspend play                      (this kernel ends with status 33)
    build/uml/linux thaw=$PWD/play.vkckpt     (there, and the shell goes on)
In the guest "poweroff -f" ends it; "echo suspend >/dev/vkckpt" suspends it from inside.
TEXT
if [ -f play.vkckpt ] && "$linux" thaw=play.vkckpt thaw.dry-run >/dev/null 2>&1; then
	echo "(going on with play.vkckpt of the last time)"
	rc=0; "$linux" thaw=play.vkckpt || rc=$?
else
	rc=0; "$linux" mem=512M umid=play vkckpt=play.vkckpt ubd0=disk.img root=/dev/ubda rw init=/sbin/vkinit con=null con0=fd:0,fd:1 ssl=null quiet || rc=$?
fi
[ $rc -ne 33 ] || echo "suspended to $PWD/play.vkckpt; make play-uml goes on with it"
