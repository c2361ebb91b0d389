#!/bin/sh
# vkernel-hooks/uml/build.sh [VARIANT]: makes build/uml/linux, User Mode Linux from the kernel source that Debian ships with this folder's
# patches, the glue and libvkckpt in it. Equal inputs give an equal build id: nothing of the clone's place, the host or the time goes in.
# VARIANT (debug): build/uml/VARIANT/linux, with config.VARIANT over config; only the tests want it.
#
# Cache (XDG_CACHE_HOME or ~/.cache, folder vkckpt): uml-KEY, the result, under a hash of all inputs; uml-tree-KEY, a built tree, from which
# a clone with other patches or glue builds only what differs.
set -eu
cd "$(dirname "$0")/../.."
here=vkernel-hooks/uml
variant=${1:-}
out=build/uml${variant:+/$variant}
src=build/uml/src
kbuild=kbuild${variant:+-$variant}
config="$here/config${variant:+ $here/config.$variant}"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/vkckpt
package=linux-source-6.1
tarball=/usr/src/$package.tar.xz
say() { echo "uml: $*"; }
. mk/need.sh

# --- what goes in
tested=$(cat $here/patches/TESTED)
prelink() {
	ld -r --whole-archive build/lib/libvkckpt.a -o "$1"
	objcopy --strip-debug -w -G 'vkckpt_*' "$1"
}
mkdir -p $out "$cache"
prelink $out/libvkckpt.o
version=$(dpkg-query -W -f '${Version}' $package 2>/dev/null || true)
if [ -z "$version" ] || [ ! -f $tarball ]; then
	need $package
	version=$(dpkg-query -W -f '${Version}' $package)
fi
[ "$version" = "$tested" ] || say "note: the patches were tested with $package $tested, this host has $version; a hunk that does not fit exactly ends the build"
tools=$( (gcc --version; ld --version) | grep -E '^(gcc|GNU ld)')
hash() { sha256sum | cut -c1-20; }
base_key=$( (echo "$version $tools"; cat $here/config; sed -n '/^# BEGIN unpack/,/^# END unpack/p' $here/build.sh) | hash)
key=$( (echo "$base_key $variant"; cat $config; cd $here && find patches glue -type f | LC_ALL=C sort | xargs sha256sum; cd ../.. &&
	sha256sum $out/libvkckpt.o include/vkckpt/*.h) | hash)
if [ -x $out/linux ] && [ "$(cat $out/key 2>/dev/null)" = "$key" ]; then
	exit 0
fi
finish() {
	echo "$key" >$out/key
	say "$out/linux, build $(file -b $out/linux 2>/dev/null | sed -n 's/.*BuildID\[sha1\]=\([0-9a-f]*\).*/\1/p')"
	exit 0
}
if [ -f "$cache/uml-$key/linux" ]; then
	say "unchanged since a build before: taken from the cache"
	cp -f "$cache/uml-$key/linux" $out/linux.new
	mv -f $out/linux.new $out/linux
	rm -rf $out/modules
	cp -R "$cache/uml-$key/modules" $out/modules
	finish
fi
need $package gcc make flex bison bc libelf-dev libssl-dev xz-utils patch rsync file

# --- the tree
# BEGIN unpack
unpack() {
	rm -rf $src && mkdir -p $src
	set -- --strip-components=1
	# their Kconfig files are read, nothing of them is built
	for arch in alpha arc arm arm64 csky hexagon ia64 loongarch m68k microblaze mips nios2 openrisc parisc powerpc riscv s390 sh \
		sparc xtensa; do
		set -- "$@" --exclude="$package/arch/$arch/*.[chS]" --exclude="$package/arch/$arch/*.dts" --exclude="$package/arch/$arch/*.dtsi"
	done
	for dir in drivers/gpu drivers/media drivers/net/ethernet drivers/net/wireless drivers/infiniband drivers/scsi drivers/staging \
		drivers/iio drivers/usb sound tools/testing tools/perf Documentation; do
		set -- "$@" --exclude="$package/$dir/*.[chS]" --exclude="$package/$dir/*.rst" --exclude="$package/$dir/*.yaml"
	done
	tar xJf $tarball -C $src "$@"
}
# END unpack
if [ "$(cat $src/.vkckpt/base 2>/dev/null)" != "$base_key" ]; then
	if [ -d "$cache/uml-tree-$base_key" ]; then
		say "taking the built tree from the cache"
		rm -rf $src
		cp -a --reflink=auto "$cache/uml-tree-$base_key" $src
	else
		say "unpacking $package $version"
		unpack
		mkdir -p $src/.vkckpt/orig
		echo "$base_key" >$src/.vkckpt/base
	fi
fi

# Patched files are made from their originals in a stage and only those that differ are put in place: make rebuilds nothing else.
say "patches"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
files=$(sed -n 's|^--- a/\([^ 	]*\).*|\1|p' $here/patches/0*.patch | LC_ALL=C sort -u)
orig=$src/.vkckpt/orig
for f in $files; do
	mkdir -p "$stage/$(dirname "$f")" "$orig/$(dirname "$f")"
	[ -f "$orig/$f" ] || cp -p "$src/$f" "$orig/$f"
	cp "$orig/$f" "$stage/$f"
done
for p in $here/patches/0*.patch; do
	patch -d "$stage" -p1 -F0 -s <"$p" || { say "$p does not fit $package $version" >&2; exit 1; }
done
(cd "$orig" && find . -type f) | while read -r f; do
	[ -f "$stage/$f" ] || { cp "$orig/$f" "$src/$f"; rm "$orig/$f"; }
done
rsync -rc "$stage/" $src/
rsync -rc $here/glue/ $src/
mkdir -p $src/arch/um/include/shared/vkckpt
rsync -rc include/vkckpt/ $src/arch/um/include/shared/vkckpt/
rsync -c $out/libvkckpt.o $src/arch/um/os-Linux/libvkckpt.o_shipped

# --- configure and build
run() {
	nice make -C $src ARCH=um O=$kbuild KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' KBUILD_BUILD_USER=vkckpt \
		KBUILD_BUILD_HOST=vkckpt KBUILD_BUILD_VERSION=1 LOCALVERSION= "$@" >>$out/build.log 2>&1 || {
		grep -E -A3 'error|Error' $out/build.log | tail -n 40 >&2
		say "the build failed; all of it is in $out/build.log" >&2
		exit 1
	}
}
: >$out/build.log
mkdir -p $src/$kbuild
cat $config >$out/config
if [ ! -f $src/$kbuild/.config ] || ! cmp -s $out/config $src/.vkckpt/$kbuild.config; then
	cp $out/config $src/$kbuild/.config
	run olddefconfig
	for set in $(grep -o '^CONFIG_[A-Z0-9_]*=' $out/config); do
		grep -q "^$set" $src/$kbuild/.config || { say "$set in $config has no effect" >&2; exit 1; }
	done
	cp $out/config $src/.vkckpt/$kbuild.config
fi
say "compiling (a first time takes minutes; $out/build.log)"
run -j"${JOBS:-$(nproc)}" linux modules
cp -f $src/$kbuild/linux $out/linux.new
mv -f $out/linux.new $out/linux
rm -rf $out/modules
mkdir $out/modules
find $src/$kbuild -name '*.ko' -exec cp {} $out/modules/ \;

# --- keep
new=$(mktemp -d "$cache/new.XXXXXX")
cp $out/linux "$new/linux" && cp -R $out/modules "$new/modules" && chmod 755 "$new" && rm -rf "$cache/uml-$key" && mv "$new" "$cache/uml-$key" ||
	say "note: the kernel could not be kept in $cache"
if [ -z "$variant" ] && [ ! -d "$cache/uml-tree-$base_key" ]; then
	rm -rf "$cache"/uml-tree-*
	cp -a --reflink=auto $src "$cache/new-tree.$$" && mv "$cache/new-tree.$$" "$cache/uml-tree-$base_key" ||
		{ rm -rf "$cache/new-tree.$$"; say "note: the tree could not be kept in $cache"; }
fi
ls -td "$cache"/uml-[0-9a-f]* | tail -n +9 | while read -r old; do rm -rf "$old"; done
finish
