#!/bin/sh
# vkernel-hooks/uml/guest.sh [OUT]: makes build/uml/debian.img, the Debian guest of the demonstration and the tests: debootstrap minbase of
# the host's own suite, from the host's own mirror, in an ext4 file. Kept in the cache under a hash of what it is made from.
set -eu
cd "$(dirname "$0")/../.."
out=${1:-build/uml/debian.img}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/vkckpt
packages=systemd,systemd-sysv,dbus,udev,redis-server,postgresql,strace,iproute2,iputils-ping,procps,kmod,e2fsprogs,fuse3,sshfs,busybox,psmisc,less,nano
size=1600M

say() { echo "uml-guest: $*"; }
. mk/need.sh
need debootstrap e2fsprogs mount iproute2

suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$suite" ] || { say "this host names no Debian suite (VERSION_CODENAME of /etc/os-release)" >&2; exit 1; }
# The first archive that apt has for this suite; security and third-party archives have no debootstrap suite of that name.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null |
	awk -v s="$suite" '$2 == s && $3 == "main" && $4 == "Debian" { print $1; exit }')
[ -n "$mirror" ] || { say "apt on this host has no Debian archive for $suite (apt-get update?)" >&2; exit 1; }
arch=$(dpkg --print-architecture)

hash() { sha256sum | cut -c1-16; }
base=$( { echo "$suite $arch $packages $size"; sed -n '/BEGIN recipe/,/END recipe/p' vkernel-hooks/uml/guest.sh; } | hash)
key=$( { echo "$base"; cat vkernel-hooks/uml/guest-init; } | hash)
kept=$cache/debian-$base.img
mkdir -p "$(dirname "$out")" "$cache"
if [ -f "$out" ] && [ "$(cat "$out.key" 2>/dev/null)" = "$key" ]; then
	exit 0
fi
if [ ! -f "$kept" ]; then
	[ "$(id -u)" = 0 ] || { say "only root can make a root file system with debootstrap; run it once as root" >&2; exit 1; }
	work=$(mktemp -d "$cache/guest.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	say "debootstrap $suite, $arch, with $packages"
	debootstrap --variant=minbase --include="$packages" "$suite" "$work/root" "$mirror" >"$work/log" 2>&1 || {
		tail -n 20 "$work/log" >&2
		say "debootstrap failed" >&2
		exit 1
	}
	# BEGIN recipe
	rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
	echo uml >"$work/root/etc/hostname"
	printf '/dev/ubda / ext4 defaults 0 1\n' >"$work/root/etc/fstab"
	chroot "$work/root" passwd -d root >/dev/null
	# nothing of the services starts by itself: tests and the demonstration do that
	chroot "$work/root" systemctl disable redis-server postgresql systemd-timesyncd >/dev/null 2>&1 || true
	truncate -s "$size" "$work/img"
	mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 -L vkckpt -d "$work/root" "$work/img"
	# END recipe
	mv "$work/img" "$kept"
	rm -f $(ls -t "$cache"/debian-*.img | tail -n +4)
fi
rm -f "$out" "$out.vkckpt"
cp --sparse=always --reflink=auto "$kept" "$out"
debugfs -w -R "write vkernel-hooks/uml/guest-init /usr/sbin/vkinit" "$out" >/dev/null 2>&1
debugfs -w -R "sif /usr/sbin/vkinit mode 0100755" "$out" >/dev/null 2>&1
echo "$key" >"$out.key"
say "$out: $suite, $(du -h "$out" | cut -f1) of $size"
