# A guest that comes back where its neighbour's address belongs to another Ethernet address, and that speaks first: it does not go on talking to the
# old one, however sure it was of it.
set -eu
. vkernel-hooks/uml/lib.sh
uml_own_network "$@"
uml_work
trap uml_clean EXIT
ip link set lo up
tap() { ip tuntap add "$1" mode tap && ip addr add 10.9.8.1/24 dev "$1" && ip link set "$1" up; }
address() { ip -br link show "$1" | awk '{ print $3 }'; }
tap vk0
uml_disk
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
echo 3600000 >/proc/sys/net/ipv4/neigh/vec0/base_reachable_time_ms	# an hour, in which it asks nobody
while sleep 0.2; do
	echo tick >/dev/udp/10.9.8.1/7000
	echo "NEIGHBOUR $(ip -4 neigh show dev vec0)"
done
GUEST
chmod +x "$work/host/run.sh"
perl -MIO::Socket::INET -e '$| = 1; my $s = IO::Socket::INET->new(LocalPort => 7000, Proto => "udp") or die "udp: $!";
	while (defined $s->recv(my $b, 100)) { print $b }' >"$work/heard" &
pids="$pids $!"
heard() { wc -l <"$work/heard"; }
hears() {	# until it hears the guest ten times more
	from=$(heard) i=0
	until [ "$(heard)" -ge $((from + 10)) ]; do
		i=$((i + 1))
		[ $i -lt 600 ] && kill -0 "$pid" || { echo "nothing comes from the guest"; ip addr; tail -n 3 "$work/near.log"; exit 1; }
		sleep 0.1
	done
}
uml_boot near mem=128M ubd0="$work/disk.img" vec0:transport=tap,ifname=vk0,mac=02:00:00:00:99:03 vkaddr=10.9.8.2/24 vkhost="$work/host" \
	vkrun=/run/host/run.sh
uml_until near 'NEIGHBOUR 10.9.8.1 .*REACHABLE' 60
hears
uml_suspend near
old=$(address vk0)
ip link del vk0
tap vk1
new=$(address vk1)
[ "$old" != "$new" ]
uml_keep_log near
uml_thaw near thaw.vec0=transport=tap,ifname=vk1,mac=02:00:00:00:99:03
hears
uml_until near "NEIGHBOUR 10.9.8.1 lladdr $new" 20
echo "note: $old at the suspend, $new now"
