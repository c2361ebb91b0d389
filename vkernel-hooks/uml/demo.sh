#!/bin/sh
# make demo-uml: a Debian guest with a program, a file and a TCP connection inside is suspended to one image, its process is gone, and a new
# process goes on with it. Ends by itself.
set -eu
cd "$(dirname "$0")/../.."
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
say() { printf '\n== %s\n' "$*"; }
stamp() { date +%s%N | cut -c1-13; }
uml_disk
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
. /etc/os-release
echo "guest: $PRETTY_NAME, Linux $(uname -r), $(dpkg-query -W | wc -l) packages"
redis-server --save '' --dir /root >/dev/null &
until redis-cli ping >/dev/null 2>&1; do sleep 0.2; done
redis-cli set kept "written before the suspend" >/dev/null
exec 3<>/dev/tcp/127.0.0.1/6379		# one connection, kept open
echo "guest: redis serves, one TCP connection to it is open"
for i in 1 2 3 4 5 6 7 8 9 10; do
	printf 'INCR counter\r\n' >&3
	read -r -u 3 answer
	echo "guest: $(date +%T) step $i, the connection answers ${answer//[$'\r:']/}, up $(cut -d. -f1 /proc/uptime) s, $(head -n 1 /dev/vkckpt | cut -d' ' -f2)"
	sleep 1
done
printf 'GET kept\r\n' >&3
read -r -u 3 answer
read -r -u 3 answer
echo "guest: the same connection, \"${answer//$'\r'/}\""
GUEST
chmod +x "$work/host/run.sh"
follow() { tail --pid=$$ -n +1 -f "$work/demo.log" 2>/dev/null | grep --line-buffered -a '^guest\|^phases' | sed -u 's/^/   /' & }

say "A Debian guest boots in User Mode Linux, an ordinary process of this host"
uml_boot demo ubd0="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh
touch "$work/demo.log"
follow
uml_until demo 'step 4' 60
say "vkckpt suspend demo (pid $pid)"
before=$(stamp)
uml_suspend demo
away=$(stamp)
echo "   the process is gone; $(ls "$work" | tr '\n' ' ')"
say "vkckpt info: what the image holds"
"$vkckpt" info "$work/demo.vkckpt" | sed -n '/^Memory/,/^$/p;/^Times/,/^$/p;/^Guest/,/^$/p;/^Disks/,$p' | sed 's/^/   /'
sleep 2
say "linux thaw=demo.vkckpt: another process goes on where it stopped"
start=$(stamp)
uml_thaw demo
echo "   pid $pid"
uml_until demo 'step 5' 30
back=$(stamp)
uml_end demo
sleep 0.3
e2fsck -f -n "$work/disk.img" >/dev/null 2>&1 && fs=clean || fs=BROKEN
say "suspended in $((away - before)) ms; from exec to the guest's next line $((back - start)) ms; its file system is $fs"
grep -a -q 'guest: the same connection, "written before the suspend"' "$work/demo.log" && [ $fs = clean ] || { echo "the demonstration FAILED" >&2; exit 1; }
