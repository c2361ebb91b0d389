#!/bin/sh
# test/bench/content.sh OUT: the memory that the benchmark is made with: the live frames of a Debian guest under User Mode Linux that runs
# redis with data in it and has read and compressed files, 0.3 to 0.5 GiB. Made once; `make clean` removes it.
set -eu
out=$1
[ ! -s "$out" ] || exit 0
[ -x build/uml/linux ] && [ -f build/uml/debian.img ] || { echo "bench: no Debian guest; run make uml uml-guest first" >&2; exit 1; }
. vkernel-hooks/uml/lib.sh
mem=768M
uml_work
trap uml_clean EXIT
uml_disk
mkdir -p "$work/host"
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/sh
redis-server --save '' --port 6379 --daemonize yes >/dev/null
until redis-cli ping 2>/dev/null | grep -q PONG; do sleep 0.1; done
awk 'BEGIN { for (i = 0; i < 120000; i++) printf "SET user:%d {\"id\":%d,\"name\":\"user %d\",\"mail\":\"u%d@example.org\",\"score\":%d}\r\n", i, i, i, i, i * 7919 % 10007 }' |
	redis-cli --pipe >/dev/null
find /usr/bin /usr/lib/x86_64-linux-gnu /usr/lib/postgresql -type f | head -n 1500 | xargs cat >/dev/null
tar cf - /usr/share/doc /etc 2>/dev/null | gzip -1 >/dev/shm/archive
echo FILLED
exec sleep 100000
GUEST
chmod +x "$work/host/run.sh"
echo "bench: a Debian guest is booted and filled, once"
uml_boot content ubd0="$work/disk.img" vkhost="$work/host" vkrun=/run/host/run.sh
uml_until content FILLED 300
uml_until_armed content
uml_suspend content
build/test/bench/run extract "$work/content.vkckpt" "$out.part"
mv "$out.part" "$out"
