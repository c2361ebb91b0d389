#!/bin/sh
# test/abi/symbols.sh: what libvkckpt.a and libvkckpt.so need, define and contain, against test/abi/allowed.txt. Prints what
# differs; status 1 then. The library is linked into kernels: a symbol too many is a kernel that does not link, a constructor or
# writable data is one that does not thaw.
set -u
cd "$(dirname "$0")/../.." || exit 1
archive=build/lib/libvkckpt.a
shared=build/lib/libvkckpt.so
list=test/abi/allowed.txt
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0
differs() { echo "abi: $*"; bad=1; }
allowed() { sed -n "s/^$1 //p" "$list"; }

[ -f "$archive" ] && [ -f "$shared" ] || { echo "abi: $archive or $shared is not built; run make" >&2; exit 1; }

# Everything the archive needs that it does not define itself. One relocatable object shows it as a linker would see it.
ld -r --whole-archive -o "$dir/all.o" "$archive" || exit 1
for s in $(nm -u "$dir/all.o" | awk '{ print $2 }'); do
	allowed undefined | grep -qxF "$s" || differs "$archive needs $s"
done
for s in $(nm -D -u "$shared" | awk '{ sub(/@.*/, "", $2); print $2 }'); do
	allowed undefined | grep -qxF "$s" || differs "$shared needs $s"
done

# Names it puts into the program's: its own prefix and its namespace, nothing else (no LZ4_*, no XXH_*, no malloc).
nm -g --defined-only "$dir/all.o" | awk '{ print $3 }' >"$dir/defined"
allowed global | sed 's/[.]/\\./g; s/\*/.*/; s/^/^/; s/$/$/' >"$dir/patterns"
for s in $(grep -v -f "$dir/patterns" "$dir/defined"); do differs "$archive defines $s"; done
for s in $(nm -D -g --defined-only "$shared" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }'); do
	case $s in vkckpt_*) ;; *) differs "$shared exports $s" ;; esac
done

# Every function of the public headers is there, in both.
sed -n '/^static inline/d; s/^[a-z].*[ *]\(vkckpt_[a-z0-9_]*\)(.*/\1/p' include/vkckpt/*.h | sort -u >"$dir/declared"
for s in $(cat "$dir/declared"); do
	grep -qx "$s" "$dir/defined" || differs "$archive lacks $s"
	nm -D "$shared" | grep -q " T $s\(@\|$\)" || differs "$shared does not export $s"
done

# Sections of the archive's members.
objdump -h "$archive" 2>/dev/null | awk '$2 ~ /^\./ { print $2, $3 }' | sort -u >"$dir/sections"
for s in $(allowed section); do
	awk -v s="$s" '$1 == s || index($1, s ".") == 1 { if ($2 !~ /^0+$/) exit 1 }' "$dir/sections" || differs "$archive has a section $s"
done

# Writable data: one pointer at most, by which a signal handler finds its context. .data.rel.ro is constant once it is linked.
count=0
nm -S "$dir/all.o" | awk 'NF == 4 && $3 ~ /^[bBdDcC]$/ { print $4, $2 }' >"$dir/written"
while read -r name size; do
	case $(nm -f sysv "$dir/all.o" | awk -F'|' -v n="$name" '{ gsub(/ /, "", $1); gsub(/ /, "", $7) } $1 == n { print $7 }' | head -n 1) in
	.data.rel.ro*) continue ;;
	esac
	count=$((count + 1))
	[ "$size" = 0000000000000008 ] && [ $count -eq 1 ] || differs "$archive has writable data: $name, 0x$size bytes"
done <"$dir/written"

[ $bad -eq 0 ] && echo "abi: $(wc -l <"$dir/declared") public functions, $count writable word(s), nothing foreign"
exit $bad
