# Equal inputs give an equal build id: library and glue are compiled and the kernel is linked once more, in a folder of another name and length, by
# another environment, and must be the kernel that lies in build/uml byte for byte.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
cache=${XDG_CACHE_HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)/.cache}/vkckpt
here=$PWD
sh vkernel-hooks/uml/build.sh
place=$work/another/folder/with-a-longer-name
mkdir -p "$work/cache/vkckpt" "$place"
tar cf - --exclude=./build --exclude=./.git . | tar xf - -C "$place"
cd "$place"
# nothing that was compiled before may stand in for what is compiled here
export XDG_CACHE_HOME="$work/cache" CCACHE_DISABLE=1 LC_ALL=C.UTF-8 TZ=Pacific/Auckland USER=somebody LOGNAME=somebody
umask 077
tree=$(ls -d "$cache"/uml-tree-* 2>/dev/null | head -n 1)
[ -n "$tree" ] || { echo "no built tree in $cache"; exit 77; }
mkdir -p build/uml
cp -a --reflink=auto "$tree" build/uml/src
rm -f build/uml/src/kbuild/arch/um/kernel/vkckpt*.o build/uml/src/kbuild/arch/um/os-Linux/*vkckpt*.o build/uml/src/kbuild/linux \
	build/uml/src/kbuild/vmlinux build/uml/src/kbuild/init/version*.o
make -j2 build/lib/libvkckpt.a >"$work/make.log" 2>&1 || { tail "$work/make.log"; exit 1; }
cmp build/lib/libvkckpt.a "$here/build/lib/libvkckpt.a" || true
sh vkernel-hooks/uml/build.sh
id() { readelf -n "$1" 2>/dev/null | sed -n 's/.*Build ID: //p'; }
echo "$(id "$linux") in $here"
echo "$(id build/uml/linux) in $place"
compiled=$(grep -c '^  *CC  ' build/uml/build.log || true)
[ "$compiled" -ge 9 ] || { echo "only $compiled files were compiled"; exit 1; }
if [ "$(id "$linux")" != "$(id build/uml/linux)" ] || ! cmp "$linux" build/uml/linux; then
	echo "what differs:"
	cmp build/uml/libvkckpt.o "$here/build/uml/libvkckpt.o" || true
	n=0
	for section in $(readelf -SW "$linux" | sed -n 's/^ *\[ *[0-9]*\] \(\.[^ ]*\).*/\1/p'); do
		for side in "$linux" build/uml/linux; do
			objcopy --dump-section "$section=$work/section.$n" "$side" /dev/null 2>/dev/null || : >"$work/section.$n"	# .bss has none
			n=$((1 - n))
		done
		cmp -s "$work/section.0" "$work/section.1" || echo "    section $section: $(cmp -l "$work/section.0" "$work/section.1" 2>/dev/null | wc -l) bytes"
	done
	(cd "$here/build/uml/src/kbuild" && find . -name '*.o' | LC_ALL=C sort) | while read -r o; do
		[ ! -f "build/uml/src/kbuild/$o" ] || cmp -s "$here/build/uml/src/kbuild/$o" "build/uml/src/kbuild/$o" || echo "    object $o"
	done | head -n 40
	exit 1
fi
echo "note: $(id build/uml/linux) twice, $compiled files of the kernel compiled again"
