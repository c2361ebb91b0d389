#!/bin/sh
# mk/lz4.sh OUT TRAPS KEEP: takes lz4.o out of the distribution's liblz4.a, links it with the traps that stand in
# for malloc, calloc, free and the stack protector's failure routine, and hides every name but those in KEEP.
set -eu
out=$1 traps=$2 keep=$3
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
lib=$(${CC:-cc} -print-file-name=liblz4.a)
(cd "$dir" && ar x "$lib" lz4.o)
ld -r -o "$dir/all.o" "$dir/lz4.o" "$traps"
objcopy --keep-global-symbols="$keep" --remove-section=.eh_frame --remove-section=.rela.eh_frame "$dir/all.o" "$out"
