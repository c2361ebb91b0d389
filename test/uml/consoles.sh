# Consoles and serial lines of every kind over a thaw: fd (a terminal, with its modes and its window), tty, pts, port, null. A window that has
# changed while the kernel was away, or changes later, reaches the guest; the terminal is given back as it was found.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap 'pids="$pids $(cat "$work"/pid "$work"/holder 2>/dev/null)"; uml_clean' EXIT
uml_disk
t=build/test/uml
port=$((20000 + $$ % 10000))	# below those that the host gives to who asks for any
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
/run/host/window </dev/tty &
stty -icanon min 1 time 0
hears() { while read -r line; do echo "$1 heard $line" >"$2"; done <"$2"; }	# NAME DEVICE
sleep 0.5
hears tty /dev/tty1 & hears pts /dev/ttyS0 &
(while :; do hears port /dev/tty3; sleep 0.2; done) 2>/dev/null &
echo "READY $(stty size) $(stty -F /dev/ttyS0 size)"
while read -r line; do
	case $line in
	modes) echo "modes $(stty -a | grep -o -- '-\?icanon') $(stty -F /dev/ttyS0 size)" ;;
	end) poweroff -f ;;
	*) echo "heard $line" ;;
	esac
done
GUEST
chmod +x "$work/host/run.sh"
cp $t/window "$work/host/"
mkdir "$work/bin"
cp $t/telnetd "$work/bin/in.telnetd"
export PATH="$work/bin:$PATH" UML_PORT_HELPER=/bin/true

# the second terminal: a tty channel
cat >"$work/tty.script" <<SCRIPT
name $work/tty.name
raw
send one\r
expect tty heard one
host touch $work/tty.spoke
host until [ -e $work/thawed ]; do sleep 0.2; done
raw
send two\r
expect tty heard two
host touch $work/tty.done
host while [ ! -e $work/over ]; do sleep 0.2; done
SCRIPT
$t/terminal 24 80 - <"$work/tty.script" >"$work/tty.log" 2>&1 &
tty=$!
pids="$pids $tty"
i=0; until [ -s "$work/tty.name" ]; do i=$((i + 1)); [ $i -lt 600 ]; sleep 0.1; done

# this kernel on a terminal; its pid is found by its umid
cat >"$work/boot.sh" <<'BOOT'
on=$1; shift
exec "$@" <"$on" >"$on" 2>>"$WORK/con.err"
BOOT
cat >"$work/serial.sh" <<'SERIAL'
# WORD: types it on the serial line's pty (the management console names it) and waits for the answer
perl -MSocket -e 'socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; bind($s, sockaddr_un("$ARGV[1]")) or die; my $c = "config ssl0";
	send($s, pack("LLLa*", 0xcafebabe, 2, length $c, $c), 0, sockaddr_un($ARGV[0])) or die "mconsole: $!"; alarm 20;
	recv($s, my $r, 1000, 0) // die; print substr($r, 12), "\n"' "$HOME/.uml/con/mconsole" "$WORK/client.$1" >"$WORK/answer"
pts=$(grep -a -o '/dev/pts/[0-9]*' "$WORK/answer")
sleep 1000 <"$pts" >/dev/null 2>&1 &		# the guest hangs up when nobody has the other side open
kill "$(cat "$WORK/holder" 2>/dev/null)" 2>/dev/null
echo $! >"$WORK/holder"
[ $# -lt 2 ] || stty -F "$pts" rows "$2" cols "$3"
perl -e 'use POSIX; open(my $f, "+<", shift) or die; my $t = POSIX::Termios->new; $t->getattr(fileno $f); $t->setlflag(0); $t->setattr(fileno $f, TCSANOW);
	my $w = shift; syswrite $f, "$w\n"; alarm 40; my $all = ""; until ($all =~ /pts heard $w/) { sysread($f, my $b, 100) or die; $all .= $b; }' "$pts" "$1"
stty -F "$pts" size
SERIAL
cat >"$work/con.script" <<SCRIPT
name $work/con.name
cooked
host sh $work/boot.sh \$(cat $work/con.name) $linux mem=128M umid=con vkckpt=$work/con.vkckpt ubd0=$work/disk.img root=/dev/ubda rw init=/sbin/vkinit vkhost=$work/host vkrun=/run/host/run.sh con=null con0=fd:0,fd:1 con1=tty:\$(cat $work/tty.name) con2=null con3=port:$port ssl=null ssl0=pts $quiet & echo \$! >$work/pid
expect WATCHING
expect READY 30 100
raw
size 40 110
expect WINCH 40 110
send before\r
expect heard before
host i=0; until [ -e $work/tty.spoke ]; do i=\$((i+1)); [ \$i -lt 600 ] || exit 1; sleep 0.1; done
host sh $work/serial.sh alpha 44 120
host $vkckpt suspend con
host while kill -0 \$(cat $work/pid) 2>/dev/null; do sleep 0.1; done
cooked
size 25 81
host sh $work/boot.sh \$(cat $work/con.name) $linux thaw=$work/con.vkckpt & echo \$! >$work/pid
expect WINCH 25 81
size 34 100
expect WINCH 34 100
raw
send after\r
expect heard after
size 33 99
expect WINCH 33 99
send modes\r
expect modes -icanon 44 120
host touch $work/thawed
host i=0; until [ -e $work/tty.done ]; do i=\$((i+1)); [ \$i -lt 600 ] || exit 1; sleep 0.1; done
host [ "\$(sh $work/serial.sh beta)" = "44 120" ]
host sh $work/port.sh
not EOF
send end\r
host while kill -0 \$(cat $work/pid) 2>/dev/null; do sleep 0.1; done
cooked
host touch $work/over
SCRIPT
# the port listens again (more of it: port.sh)
cat >"$work/port.sh" <<SCRIPT
pts=\$(grep -a -o '/dev/pts/[0-9]*' $work/answer)
perl -MIO::Socket::INET -MIO::Select -e 'my \$s; for (1 .. 100) { \$s = IO::Socket::INET->new("127.0.0.1:$port") and last; select undef, undef, undef, 0.1 } \$s or die "no port";
	open(my \$poke, ">>", shift) or die;
	alarm 60; my \$all = ""; until (\$all =~ /port heard three/) {	# what comes before the kernel listens for it is seen at its next input of any kind, without a thaw as well
		syswrite \$s, "three\n"; syswrite \$poke, "poke\n";
		while (IO::Select->new(\$s)->can_read(1)) { sysread(\$s, my \$b, 100) or die; \$all .= \$b; last if \$all =~ /port heard three/ } }' "\$pts"
SCRIPT
export WORK="$work"
rc=0
$t/terminal 30 100 - <"$work/con.script" >"$work/con.log" 2>&1 || rc=$?
cat "$work/con.log"
[ $rc -eq 0 ] || { cat "$work/con.err" "$work/tty.log" "$work/answer" 2>/dev/null; exit 1; }
wait $tty || { cat "$work/tty.log"; exit 1; }
