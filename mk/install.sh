#!/bin/sh
# mk/install.sh DESTDIR PREFIX: copies what `make' has built to DESTDIR/PREFIX. DESTDIR may be empty; it appears in no
# installed file.
set -eu
cd "$(dirname "$0")/.."
[ $# -eq 2 ] || { echo "usage: mk/install.sh DESTDIR PREFIX" >&2; exit 2; }
prefix=$2
case $prefix in
/*) ;;
*) echo "install: PREFIX=$prefix: not an absolute path" >&2; exit 2 ;;
esac
to=$1$prefix
version=$(sed -n 's/^#define VKCKPT_LIBRARY_VERSION "\(.*\)"/\1/p' include/vkckpt/vkckpt.h)

# put MODE FOLDER FILE...
put() {
	mode=$1 folder=$2
	shift 2
	mkdir -p "$folder"
	for file in "$@"; do
		if [ ! -f "$file" ]; then
			echo "install: $file is not there: run make first" >&2
			exit 1
		fi
		# Removed first: a running program or a mapped library keeps its file, and a link is not written through.
		rm -f "$folder/${file##*/}"
		cp "$file" "$folder/"
		chmod "$mode" "$folder/${file##*/}"
	done
}

# pc NAME DESCRIPTION LIBS [REQUIRES]
pc() {
	mkdir -p "$to/lib/pkgconfig"
	cat >"$to/lib/pkgconfig/$1.pc" <<PC
prefix=$prefix
includedir=\${prefix}/include
libdir=\${prefix}/lib

Name: $1
Description: $2
Version: $version
Requires: ${4:-}
Cflags: -I\${includedir}
Libs: -L\${libdir} $3
PC
	chmod 644 "$to/lib/pkgconfig/$1.pc"
}

put 755 "$to/bin" build/bin/vkckpt build/bin/minivk build/bin/hello
put 644 "$to/include/vkckpt" include/vkckpt/*.h vkernel-hooks/linux/vmspace.h vkernel-hooks/sodium/sodium.h
put 644 "$to/lib" build/lib/libvkckpt.a build/vkernel-hooks/linux/libvmspace.a \
	build/vkernel-hooks/sodium/libvkckpt-sodium.a
put 755 "$to/lib" build/lib/libvkckpt.so
mv -f "$to/lib/libvkckpt.so" "$to/lib/libvkckpt.so.1"
ln -sf libvkckpt.so.1 "$to/lib/libvkckpt.so"
pc vkckpt "checkpoint and thaw of virtual kernels" -lvkckpt
pc vkckpt-sodium "sealed and signed images with libsodium" "-lvkckpt-sodium -lsodium -lbsd" vkckpt
pc vkckpt-vmspace "the vmspace(2) interface of DragonFly on Linux" "-lvmspace -pthread -no-pie"

for page in man/*.[1-9]; do
	put 644 "$to/share/man/man${page##*.}" "$page"
done

put 755 "$to/libexec/vkckpt" examples/systemd/vkernel-start examples/systemd/vkernel-started examples/systemd/vkernel-stop
put 644 "$to/libexec/vkckpt" examples/systemd/vkernel-common
put 644 "$to/lib/systemd/system" examples/systemd/vkernel@.service
sed "s|/usr/local/|$prefix/|" examples/systemd/vkernel@.service >"$to/lib/systemd/system/vkernel@.service"
put 644 "$to/share/doc/vkckpt" examples/systemd/README.md examples/systemd/example.conf examples/hello/hello.cc
