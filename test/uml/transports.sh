# The transports of the vector network device: tap, raw (a packet socket on one end of a veth pair) and fd (a descriptor that whoever starts the
# kernel gives it), with one TCP connection over each that lives through two thaws, and neighbours that are told where the addresses are.
# An interface that the guest has not brought up, and one that is not there at a thaw.
set -eu
. vkernel-hooks/uml/lib.sh
uml_own_network "$@"
uml_work
trap uml_clean EXIT
ip link set lo up
ip tuntap add tap0 mode tap
ip tuntap add tapfd mode tap
ip tuntap add down0 mode tap
ip link add veth0 type veth peer name veth1
for i in tap0:1 veth0:2 tapfd:3; do ip addr add "10.9.${i#*:}.1/24" dev "${i%:*}"; ip link set "${i%:*}" up; done
ip link set veth1 up
uml_disk
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
for i in 0 1 2; do ip addr add 10.9.$((i + 1)).2/24 dev vec$i; ip link set vec$i up; done
perl -MIO::Socket::INET -e 'my $l = IO::Socket::INET->new(LocalPort => 7, Listen => 5, ReuseAddr => 1) or die "echo: $!"; while (my $c = $l->accept) {
	unless (fork) { while (sysread $c, my $b, 1000) { syswrite $c, $b } exit } }' &
while :; do echo "TICK $(ip -br link show | grep -c vec)"; sleep 0.3; done
GUEST
chmod +x "$work/host/run.sh"
# descriptor 9 is the third device, in every process that runs the kernel
with_tap="build/test/uml/tapfd tapfd 9"
cat >"$work/client.pl" <<'CLIENT'
# one connection to the echo service behind each device; a number goes there and back over each in turn
use IO::Socket::INET;
my ($stop, $log, @to) = @ARGV;
sub meet { for (1 .. 100) { my $c = IO::Socket::INET->new(PeerAddr => $_[0], PeerPort => 7, Timeout => 20); return $c if $c; select undef, undef, undef, 0.2 } die "$_[0]: $!" }
my @c = map { meet($_) } @to;
for (my $n = 1; ! -e $stop; $n++) {
	for my $i (0 .. $#c) {
		my ($text, $all) = ("$n\n", "");
		syswrite $c[$i], $text or die "$to[$i]: $!";
		alarm 60;
		until ($all eq $text) { sysread($c[$i], my $b, 100) or die "$to[$i]: the connection is gone"; $all .= $b }
	}
	open(my $f, ">", "$log.new"); print $f $n; close $f; rename "$log.new", $log;
	select undef, undef, undef, 0.02;
}
print scalar(@c), " connections lived\n";
CLIENT
macs="02:00:00:00:09:01 02:00:00:00:09:02 02:00:00:00:09:03"
mac() { echo "$macs" | cut -d' ' -f"$1"; }
$with_tap "$linux" mem=128M umid=tr vkckpt="$work/tr.vkckpt" root=/dev/ubda rw init=/sbin/vkinit con=null con0=null,fd:1 ssl=null $quiet ubd0="$work/disk.img" \
	"vec0:transport=tap,ifname=tap0,mac=$(mac 1)" "vec1:transport=raw,ifname=veth1,mac=$(mac 2)" "vec2:transport=fd,fd=9,mac=$(mac 3)" \
	vec3:transport=tap,ifname=down0 vkhost="$work/host" vkrun=/run/host/run.sh </dev/null >>"$work/tr.log" 2>&1 &
pid=$!
pids="$pids $pid"
uml_until tr TICK 60
uml_until_armed tr
perl "$work/client.pl" "$work/stop" "$work/done" 10.9.1.2 10.9.2.2 10.9.3.2 >"$work/client.log" 2>&1 &
client=$!
pids="$pids $client"
served() {	# until the client has had ten answers more over each
	now=$(cat "$work/done" 2>/dev/null || echo 0)
	i=0
	until [ "$(cat "$work/done" 2>/dev/null || echo 0)" -ge $((now + 10)) ]; do
		i=$((i + 1))
		[ $i -lt 600 ] && kill -0 $client || { cat "$work/client.log" "$work/tr.log"; exit 1; }
		sleep 0.1
	done
}
served
for round in 1 2; do
	uml_suspend tr
	uml_keep_log tr
	if [ $round = 1 ]; then
		for case in "vec1=transport=raw,ifname=nowhere vec1" "vec0=transport=tap,ifname=veth0 vec0" "vec2=transport=fd,fd=8 vec2" \
			"vec0=transport=gre,src=1.1.1.1,dst=2.2.2.2 vec0"; do
			if $with_tap "$linux" thaw="$work/tr.vkckpt" "thaw.${case% *}" >"$work/out" 2>&1 </dev/null; then echo "not refused: $case"; exit 1; fi
			grep "thaw: ${case##* }:.*(DEVICE_MISSING)\|thaw: ${case##* }:.*(BAD_ARGUMENT)" "$work/out" || { cat "$work/out"; exit 1; }
		done
		if "$linux" thaw="$work/tr.vkckpt" >"$work/out" 2>&1 </dev/null; then echo "not refused: no descriptor"; exit 1; fi
		grep 'vec2: this process was started without descriptor 9' "$work/out"
	fi
	n=0
	for i in tap0 veth0 tapfd; do
		n=$((n + 1))
		build/test/uml/wire 60 $i "$(mac $n)" >"$work/wire.$n" 2>&1 &
		eval "wire$n=$!"
		until grep -q ready "$work/wire.$n" 2>/dev/null; do sleep 0.05; done
	done
	$with_tap "$linux" thaw="$work/tr.vkckpt" </dev/null >>"$work/tr.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	uml_until tr TICK 30
	for n in 1 2 3; do
		eval "wait \$wire$n" || { echo "no gratuitous ARP on interface $n"; exit 1; }
		grep -q " is 10.9.$n.2" "$work/wire.$n"
	done
	served
	uml_until_armed tr
done
touch "$work/stop"
wait $client || { cat "$work/client.log"; exit 1; }
cat "$work/client.log"
echo "note: tap, raw and fd; $(cat "$work/done") round trips over each"
