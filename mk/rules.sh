#!/bin/sh
# mk/rules.sh OUT [FOLDER]: writes the make rules for everything that is built (see the table at the end) into FOLDER (build) to OUT.
# Plain target: source rules with tabs, understood by GNU make and bmake alike.
set -eu
out=$1
B=${2:-build}
mkdir -p "$(dirname "$out")"
tmp=$out.$$
exec >"$tmp"

# objects FLAGS SRC... : a rule per source; the names of the objects are left in $objs. variant, if set, is a folder of $B for a second
# build of the same sources.
variant=
objects() {
	flags=$1; shift
	objs=
	for src in "$@"; do
		[ -f "$src" ] || continue
		obj=$B/$variant${src%.*}.o
		mkdir -p "$(dirname "$obj")"
		case $src in
		*.cc) tool="\$(CXX) \$($flags)" ;;
		*.c) tool="\$(CC) \$(GUEST_CFLAGS)" ;;
		*.S) tool="\$(CC) \$(ASFLAGS_ALL)" ;;
		esac
		printf '%s: %s Makefile mk/rules.sh\n\t%s -MMD -MP -c -o %s %s\n' "$obj" "$src" "$tool" "$obj" "$src"
		[ -f "${obj%.o}.d" ] && cat "${obj%.o}.d"
		objs="$objs $obj"
	done
}

# archive LIB OBJ... ; program OUT LINKFLAGS INPUT...
archive() {
	lib=$1; shift
	mkdir -p "$(dirname "$lib")"
	printf '%s: %s\n\trm -f %s\n\tar rcs %s %s\n' "$lib" "$*" "$lib" "$lib" "$*"
}
program() {
	prog=$1 link=$2; shift 2
	mkdir -p "$(dirname "$prog")"
	printf '%s: %s\n\t$(CXX) -o %s %s %s\n' "$prog" "$*" "$prog" "$*" "$link"
}

world= tests=
. mk/table.sh
printf 'world: %s\ntests: %s\n' "$world" "$tests"
if [ -f "$out" ] && cmp -s "$tmp" "$out"; then rm -f "$tmp"; else mv "$tmp" "$out"; fi
