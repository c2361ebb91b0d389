#!/bin/sh
# examples/play.sh: an interactive shell in a vkernel, with the three commands to suspend and thaw it.
set -eu
cd "$(dirname "$0")/.."
if ! [ -t 0 ]; then
	echo "play: needs a terminal; make demo shows the same without one" >&2
	exit 2
fi
bin=$(pwd)/build/bin
cat <<EOF
You get a shell in a vkernel named "play". Start something in it (vi, a loop, a pipeline).
From another terminal, in $(pwd):

    build/bin/vkckpt list                 what runs
    build/bin/vkckpt suspend play         writes play.ckpt and ends the vkernel (or: kill -$("$bin/vkckpt" signals | awk '/SIGCKPT /{print $2; exit}') PID)
    build/bin/minivk --thaw play.ckpt     goes on, here or in any terminal

"exit" ends the vkernel.
EOF
rc=0
"$bin/minivk" --name play --image play.ckpt || rc=$?
if [ $rc -eq 33 ]; then
	echo "Suspended to play.ckpt. Go on with: build/bin/minivk --thaw play.ckpt"
	exit 0
fi
exit $rc
