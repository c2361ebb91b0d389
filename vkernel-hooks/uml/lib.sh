# Sourced by the demonstration and the tests of User Mode Linux, in the top folder of the project. Everything happens in $work. UML_VARIANT: the
# kernel of a variant of build.sh instead of the plain one.
linux=$PWD/build/uml/${UML_VARIANT:+$UML_VARIANT/}linux
vkckpt=$PWD/build/bin/vkckpt
debian=$PWD/build/uml/debian.img
# What each guest's command line says of the kernel's messages. The kernel that checks itself shows warnings, and ends by most of them (TAINT_WARN:
# WARN_ON, "sleeping function"); those of lockdep are looked for in the logs, in uml_clean.
quiet=quiet
[ "${UML_VARIANT:-}" != debug ] || quiet="loglevel=5 panic_on_taint=200"

uml_work() {
	work=$(mktemp -d "${TMPDIR:-/tmp}/vkuml.XXXXXX")
	unset TMPDIR	# UML would put its RAM there
	mkdir -m 700 "$work/run" "$work/home"
	mkdir "$work/host"
	export VKCKPT_RUNDIR="$work/run" HOME="$work/home"
	pids= told=0
	trap "exit 130" INT TERM HUP	# and the EXIT trap cleans up
}
# The guest's disk: a copy of the Debian image.
uml_disk() { cp --sparse=always --reflink=auto "$debian" "$work/disk.img"; }

# uml_boot NAME ARGS...: starts a guest in the background with its console in $work/NAME.log; its pid in $pid.
uml_boot() {
	name=$1; shift
	"$linux" mem="${mem:-384M}" umid="$name" vkckpt="$work/$name.vkckpt" root=/dev/ubda rw init=/sbin/vkinit con=null con0=null,fd:1 ssl=null \
		$quiet "$@" </dev/null >>"$work/$name.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
}
# uml_thaw NAME ARGS...: the same from its image.
uml_thaw() {
	name=$1; shift
	"$linux" thaw="$work/$name.vkckpt" "$@" </dev/null >>"$work/$name.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
}
# uml_until NAME PATTERN SECONDS: until a line of the console matches; fails when the guest has ended or the time is over: what is ample on a host
# that has nothing else to do, here taken four times.
uml_until() {
	i=0
	until grep -a -q -- "$2" "$work/$1.log" 2>/dev/null; do
		i=$((i + 1))
		[ $i -lt $(($3 * 40)) ] || { echo "no line '$2' on the console of $1 in $(($3 * 4)) s" >&2; return 1; }
		kill -0 "$pid" 2>/dev/null || { grep -a -q -- "$2" "$work/$1.log" && return 0; echo "$1 has ended before a line '$2'" >&2; return 1; }
		sleep 0.1
	done
}
# uml_silent FILE...: fails, and shows where, if the kernel complained in them.
uml_silent() {
	if grep -a -n -E -A8 'WARNING|BUG|INFO: |inconsistent lock|suspicious|sleeping function|Call Trace|ODEBUG|Bad file descriptor|EXT4-fs error|I/O error' \
		"$@"; then
		echo "the kernel complained" >&2
		return 1
	fi
}
# uml_until_armed NAME: until tools can find it.
uml_until_armed() {
	i=0
	until "$vkckpt" list 2>/dev/null | grep -q "^$1 "; do
		i=$((i + 1))
		[ $i -lt 800 ] || { echo "$1 is not armed" >&2; return 1; }
		kill -0 "$pid" 2>/dev/null || { echo "$1 has ended before it was armed" >&2; return 1; }
		sleep 0.1
	done
}
# uml_mconsole NAME COMMAND...: tells its management console, whose answer is printed; the status is that of the command.
uml_mconsole() {
	perl -MSocket -e 'my ($to, $own, undef, @c) = @ARGV; my $c = "@c"; unlink $own; socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; bind($s, sockaddr_un($own)) or die;
		send($s, pack("LLLa*", 0xcafebabe, 2, length $c, $c), 0, sockaddr_un($to)) or die "mconsole: $!"; alarm 20;
		recv($s, my $r, 1000, 0) // die; my ($err) = unpack "L", $r; print substr($r, 12), "\n"; exit $err' "$HOME/.uml/$1/mconsole" "$work/mconsole.$1" "$@"
}
# uml_tell COMMAND: the next of the files do.1, do.2 ... that a guest's shell looks for in the host's folder, and obeys; its number is $told.
uml_tell() {
	told=$((told + 1))
	echo "$1" >"$work/host/new"
	mv "$work/host/new" "$work/host/do.$told"
}
# uml_suspend NAME: suspends it and checks its exit status.
uml_suspend() {
	"$vkckpt" suspend "$1" || return 1
	rc=0
	wait "$pid" || rc=$?
	[ $rc -eq 33 ] || { echo "$1 ended with status $rc, not 33; the end of its console:" >&2; tail -n 40 "$work/$1.log" >&2; return 1; }
}
# uml_end NAME: waits for an orderly end.
uml_end() {
	rc=0
	wait "$pid" || rc=$?
	[ $rc -eq 0 ] || { echo "$1 ended with status $rc:" >&2; tail -n 40 "$work/$1.log" >&2; return 1; }
}
# uml_keep_log NAME: its console's log goes to the end of $work/all.log and begins anew.
uml_keep_log() {
	[ ! -e "$work/$1.log" ] || cat "$work/$1.log" >>"$work/all.log"
	: >"$work/$1.log"
}
# uml_survived NAME: ends the survivor (test/uml/guests/survive.sh) there and judges all that it has said.
uml_survived() {
	touch "$work/host/stop"
	uml_end "$1"
	uml_keep_log "$1"
	last=$(grep -a '^LAST' "$work/all.log")
	echo "$last"
	echo "$last" | grep -q ' errors=0 stuck=0 '
	echo "$last" | grep -q ', 0 bad'
	uml_silent "$work/all.log"
}
# Whether a thaw can be lazy here.
uml_has_userfaultfd() { [ -c /dev/userfaultfd ] || [ "$(id -u)" = 0 ] || [ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 1 ]; }
# uml_own_network "$@": begins the script again in a network namespace of its own, or skips it.
uml_own_network() {
	[ "${1:-}" != inside ] || return 0
	[ "$(id -u)" = 0 ] && [ -c /dev/net/tun ] && unshare -n true 2>/dev/null || { echo "needs root, network namespaces and /dev/net/tun"; exit 77; }
	exec unshare -n sh "$0" inside
}
# In the trap of EXIT. With the kernel that checks itself, a test whose guests complained fails.
uml_clean() {
	set +e
	for p in $pids; do kill -9 "$p" 2>/dev/null; done
	for p in $pids; do wait "$p" 2>/dev/null; done
	said=0
	[ "${UML_VARIANT:-}" != debug ] || uml_silent "$work"/*.log || said=1
	rm -rf "$work"
	[ $said -eq 0 ] || exit 1
}
