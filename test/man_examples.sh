#!/bin/sh
# test/man_examples.sh: every example of a manual page that begins with an #include compiles, as C11 and without a warning.
set -u
status=0
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
for page in man/*.[1-8]; do
	awk -v base="$dir/$(basename "$page")" '
		/^\.Bd -literal/ { inside = 1; n++; file = base "." n ".c"; next }
		/^\.Ed/ { inside = 0; next }
		inside { gsub(/\\e/, "\\"); gsub(/\\&/, ""); print > file }' "$page"
done
for example in "$dir"/*.c; do
	grep -q '^#include' "$example" || continue
	${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -Iinclude -Ivkernel-hooks/linux/include -Ivkernel-hooks/linux -fsyntax-only "$example" || {
		echo "example of $(basename "$example") does not compile" >&2
		status=1
	}
done
exit $status
