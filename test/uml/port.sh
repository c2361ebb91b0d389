# A serial line on a port channel: one that waits for its terminal listens again after a thaw, one with a terminal hangs up and can be called again.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
uml_disk
mkdir "$work/bin"
cp build/test/uml/telnetd "$work/bin/in.telnetd"
export PATH="$work/bin:$PATH" UML_PORT_HELPER=/bin/true
port=$((20000 + $$ % 20000))
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
n=0
(while :; do	# like a getty: opens the line, serves it until it hangs up
	n=$((n + 1))
	(exec <>/dev/ttyS1 >&0; echo "LINE $n"; while read -r line; do echo "heard $line"; done)
	echo "HUNG UP $n"
	sleep 0.2
done) &
while sleep 0.3; do echo TICK; done
GUEST
chmod +x "$work/host/run.sh"
cat >"$work/call" <<'CALL'
use IO::Socket::INET; use IO::Select; $| = 1; our $all = ""; $SIG{ALRM} = sub { die "no answer in time: $all" }; alarm 40;
my ($port, $word, $stay) = @ARGV; my $s;
until ($s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port)) { select undef, undef, undef, 0.2; }
until ($all =~ /LINE \d+/) { sysread($s, my $b, 100) or die "no line: $all"; $all .= $b; }
until ($all =~ /heard $word/) {		# what comes before the kernel listens for it is seen at the next input
	syswrite $s, "$word\n";
	while (IO::Select->new($s)->can_read(1)) { sysread($s, my $b, 100) or die "no answer: $all"; $all .= $b; last if $all =~ /heard $word/; }
}
print "line answers $word\n"; if ($stay) { 1 while sysread($s, my $b, 100); print "line ended\n"; }
CALL
uml_boot port ubd0="$work/disk.img" ssl1=port:$port vkhost="$work/host" vkrun=/run/host/run.sh
uml_until port TICK 60
uml_until_armed port
uml_suspend port					# nobody has called yet
: >"$work/port.log"
perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalPort => shift, Listen => 1, ReuseAddr => 1) or die; system(@ARGV); exit($? == 0)' \
	"$port" "$linux" thaw="$work/port.vkckpt" thaw.dry-run >"$work/out" 2>&1		# somebody else listens there
grep "ssl1: cannot listen for port:$port.*DEVICE_MISSING" "$work/out"
uml_thaw port
uml_until port TICK 30
uml_until_armed port
perl "$work/call" "$port" one 1 >"$work/caller" 2>&1 &
caller=$!
i=0; until grep -q 'answers one' "$work/caller"; do i=$((i + 1)); [ $i -lt 300 ] || { cat "$work/caller" "$work/port.log"; exit 1; }; sleep 0.1; done
uml_suspend port					# somebody is on the line
wait $caller || true
grep 'line ended' "$work/caller"
: >"$work/port.log"
uml_thaw port
uml_until port 'HUNG UP' 30
perl "$work/call" "$port" two ""
uml_until_armed port
uml_suspend port
uml_silent "$work/port.log"
echo "note: waiting, in use, called again"
