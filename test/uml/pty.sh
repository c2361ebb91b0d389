# A serial line at a pty channel, which takes the first free one of the old BSD pairs (/dev/ptyp0 and /dev/ttyp0), over two thaws: input and output,
# window size, its name; then as what replaces another channel. Hosts of today have no such pairs. In a /dev of this test's own, nodes of the pty
# multiplexer stand in for the masters: each open makes a new pair, whose other side is found by its number.
set -eu
if [ "${1:-}" != inside ]; then
	if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
		echo "pty channels need BSD ptys, which this host's kernel does not have (CONFIG_LEGACY_PTYS), or root and a mount namespace to stand in for them"
		exit 77
	fi
	exec unshare -m --propagation private sh "$0" inside
fi
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
mkdir "$work/dev"
mount -t tmpfs -o mode=755 none "$work/dev"
for i in null zero full random urandom tty; do cp -a "/dev/$i" "$work/dev/"; done
mkdir "$work/dev/pts" "$work/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 none "$work/dev/pts"
mount -t tmpfs none "$work/dev/shm"
ln -s /proc/self/fd "$work/dev/fd"
for i in ptmx ptyp0 ptyp1; do mknod -m 666 "$work/dev/$i" c 5 2 || { echo "no node of the pty multiplexer can be made here"; exit 77; }; done
touch "$work/dev/ttyp0" "$work/dev/ttyp1"
mount --move "$work/dev" /dev 2>/dev/null || mount --rbind "$work/dev" /dev

uml_disk
cat >"$work/host/run.sh" <<'GUEST'
#!/bin/bash
while :; do while read -r line; do echo "heard $line $(stty size)" >/dev/ttyS0; done </dev/ttyS0; sleep 0.2; done 2>/dev/null &
while :; do echo TICK; sleep 0.3; done
GUEST
chmod +x "$work/host/run.sh"
cat >"$work/side.pl" <<'SIDE'
# PID WORD [ROWS COLUMNS]: opens the other side of the pty that the kernel has as /dev/ptypN, says WORD, waits for the answer and keeps it open
use POSIX; use Fcntl;
my ($pid, $word, $rows, $columns) = @ARGV;
my @fds;
for (1 .. 200) {		# the guest opens its line when it has come so far
	@fds = grep { (readlink($_) // "") =~ m{/dev/ptyp\d$} } glob("/proc/$pid/fd/*");
	last if @fds;
	select undef, undef, undef, 0.1;
}
die scalar(@fds) . " ptys, not one: @fds" unless @fds == 1;
my $pidfd = syscall(434, $pid + 0, 0);
my $fd = syscall(438, $pidfd, $1 + 0, 0) if $fds[0] =~ /(\d+)$/;
die "pidfd_getfd: $!" if $fd < 0;
open(my $master, "+<&=", $fd) or die;
my $n = pack "I", 0;
ioctl($master, 0x40045431, $n) // die "unlock: $!";
ioctl($master, 0x80045430, $n) // die "number: $!";
my $at = "/dev/pts/" . unpack "I", $n;
sysopen(my $side, $at, O_RDWR | O_NOCTTY) or die "$at: $!";
my $t = POSIX::Termios->new; $t->getattr(fileno $side); $t->setlflag(0); $t->setattr(fileno $side, TCSANOW);
ioctl($side, 0x5414, pack "S4", $rows, $columns, 0, 0) // die if $rows;
syswrite $side, "$word\n";
alarm 60;
my $all = "";
until ($all =~ /heard $word.*\n/) { sysread($side, my $b, 200) or die "gone"; $all .= $b }
ioctl($side, 0x5413, my $size = "\0" x 8) // die;
$| = 1;
print "$fds[0] $at heard $word, ", join("x", unpack "S2", $size), "\n";
alarm 0;
sleep 1000;		# the guest hangs up when nobody has the other side open
SIDE
side() {	# WORD [ROWS COLUMNS]
	perl "$work/side.pl" "$pid" "$@" >"$work/out" 2>&1 &
	pids="$pids $!"
	i=0
	until grep -q "heard $1, 44x120" "$work/out"; do
		i=$((i + 1))
		[ $i -lt 600 ] && kill -0 $! || { cat "$work/out"; exit 1; }
		sleep 0.1
	done
	cat "$work/out"
}
uml_boot pty ubd0="$work/disk.img" ssl0=pty vkhost="$work/host" vkrun=/run/host/run.sh
uml_until pty TICK 60
uml_until_armed pty
side alpha 44 120
for word in beta gamma; do
	uml_suspend pty
	uml_keep_log pty
	uml_thaw pty
	uml_until pty TICK 30
	uml_until_armed pty
	side $word
done
# to nothing, and to a pty again
uml_suspend pty
uml_thaw pty thaw.ssl0=null
uml_until_armed pty
uml_suspend pty
uml_thaw pty thaw.ssl0=pty
uml_until_armed pty
side delta 44 120
uml_suspend pty
"$vkckpt" info "$work/pty.vkckpt" | grep 'ssl0.*channels=pty'
echo "note: on stand-ins for BSD ptys"
