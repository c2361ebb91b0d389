#!/bin/sh
# mk/lz4.sh OUT TRAPS KEEP: takes lz4.o out of the distribution's liblz4.a, links it with the traps that stand in
# for malloc, calloc, free and the stack protector's failure routine, hides every name but those in KEEP, and
# renames these (LZ4_x to vkckpt_lz4_x): a kernel may have an LZ4 of its own.
set -eu
out=$1 traps=$2 keep=$3
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
lib=$(${CC:-cc} -print-file-name=liblz4.a)
[ -f "$lib" ] || { echo "mk/lz4.sh: liblz4.a is missing; install liblz4-dev (make deps)" >&2; exit 1; }
(cd "$dir" && ar x "$lib" lz4.o)
ld -r -o "$dir/all.o" "$dir/lz4.o" "$traps"
objcopy --keep-global-symbols="$keep" --remove-section=.eh_frame --remove-section=.rela.eh_frame "$dir/all.o" "$dir/local.o"
sed 's/^LZ4_\(.*\)$/LZ4_\1 vkckpt_lz4_\1/' "$keep" >"$dir/names"
objcopy --redefine-syms="$dir/names" "$dir/local.o" "$out"
