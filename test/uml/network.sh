# The guest behind a tap device of a network namespace of its own, with Redis and PostgreSQL in it under a load of writes from outside, over several
# connections to each that live through all suspends, also when the guest comes back on a tap of another name. Every write acknowledged is there.
set -eu
. vkernel-hooks/uml/lib.sh
uml_own_network "$@"
uml_work
trap uml_clean EXIT
cycles=${CYCLES:-10}
ip link set lo up
tap() { ip tuntap add "$1" mode tap; ip addr add 10.9.9.1/24 dev "$1"; ip link set "$1" up; }
tap vk0
uml_disk
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
redis-server --bind 10.9.9.2 --protected-mode no --appendonly yes --appendfsync always --dir /root --save '' >/run/redis.log 2>&1 &
pg=$(ls -d /usr/lib/postgresql/*/bin)
mkdir -p /run/postgresql && chown postgres /run/postgresql
install -d -o postgres /root/pg && chmod 711 /root
setpriv --reuid=postgres --regid=postgres --clear-groups "$pg/initdb" -A trust -N -D /root/pg >/run/initdb.log 2>&1
echo "host all all 10.9.9.0/24 trust" >>/root/pg/pg_hba.conf
setpriv --reuid=postgres --regid=postgres --clear-groups "$pg/postgres" -D /root/pg -h 10.9.9.2 >/run/pg.log 2>&1 &
until setpriv --reuid=postgres --regid=postgres --clear-groups psql -qc 'create table t (n bigint primary key, v text)' 2>/dev/null; do sleep 0.3; done
echo "SERVICES ready"
while :; do sleep 1; done
GUEST
chmod +x "$work/host/run.sh"
uml_boot net ubd0="$work/disk.img" vec0:transport=tap,ifname=vk0,mac=02:00:00:00:99:02 vkaddr=10.9.9.2/24 vkhost="$work/host" \
	vkrun=/run/host/run.sh
uml_until net 'SERVICES ready' 120
build/test/uml/outside 10.9.9.2 "$work/stop" >"$work/client.log" 2>&1 &
client=$!
pids="$pids $client"
acked() {	# SERVICE: how many writes it has acknowledged
	sed -n "s/^DONE.*$1 \([0-9]*\).*/\1/p" "$work/client.log" | tail -n 1
}
# Until each service has acknowledged fifty writes more than $redis and $postgres, and every connection some of them: one that meets the next suspend
# before it has sent again what the last one lost waits twice as long each time. The fewest that there ever were in $fewest.
loaded() {
	i=0
	until [ $(($(acked redis) - redis)) -ge 50 ] && [ $(($(acked postgres) - postgres)) -ge 50 ] && [ $(($(acked rounds) - rounds)) -ge 2 ]; do
		i=$((i + 1))
		[ $i -lt 900 ] || { echo "the client is not served any more"; tail -n 3 "$work/client.log"; tail "$work/net.log"; exit 1; }
		kill -0 $client || { tail -n 3 "$work/client.log"; exit 1; }
		sleep 0.1
	done
	for count in $(($(acked redis) - redis)) $(($(acked postgres) - postgres)); do
		[ "${fewest:-$count}" -lt "$count" ] || fewest=$count
	done
}
redis=0 postgres=0 rounds=0 fewest=
loaded
n=0
while [ $n -lt "$cycles" ]; do
	n=$((n + 1))
	uml_suspend net
	over=
	if [ $((n % 3)) -eq 0 ]; then		# another host: the interface has another name there
		ip link del vk0 2>/dev/null || ip link del vk1
		tap vk$((n / 3 % 2))
		over="thaw.vec0=transport=tap,ifname=vk$((n / 3 % 2)),mac=02:00:00:00:99:02"
	fi
	redis=$(acked redis) postgres=$(acked postgres) rounds=$(acked rounds)
	# shellcheck disable=SC2086
	uml_thaw net $over
	uml_until_armed net
	loaded
done
touch "$work/stop"
wait $client || { cat "$work/client.log"; exit 1; }
echo "note: $cycles suspends, at least $fewest writes between two of them; $(tail -n 1 "$work/client.log")"
