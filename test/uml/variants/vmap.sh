# The survivor through its cycles on a kernel with VMAP_STACK (build.sh vmap): the stacks of all tasks, the suspending one's too, lie in vmalloc,
# page by page anywhere in RAM, and must be there before anything of the old kernel runs.
set -eu
out=$(mktemp "${TMPDIR:-/tmp}/vmap.XXXXXX")
trap 'rm -f "$out"' EXIT
sh test/uml/cycles.sh >"$out" 2>&1 || { cat "$out"; exit 1; }
cat "$out"
stacks=$(sed -n 's/^LAST.* vmapped=\([0-9]*\).*/\1/p' "$out")
[ "${stacks:-0}" -ge 20 ] || { echo "${stacks:-no} stacks in vmalloc: not a kernel with VMAP_STACK?"; exit 1; }
echo "note: $stacks stacks in vmalloc"
