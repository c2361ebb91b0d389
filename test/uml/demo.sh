# make demo-uml as it is: ends by itself and well, shows how long the guest is away by phase, and leaves nothing.
set -eu
out=$(mktemp "${TMPDIR:-/tmp}/demo.XXXXXX")
trap 'rm -f "$out"' EXIT
before=$(ls "${TMPDIR:-/tmp}")
sh vkernel-hooks/uml/demo.sh >"$out" || { cat "$out"; exit 1; }
cat "$out"
for line in 'step 10, the connection answers' 'the same connection, "written before the suspend"' 'phases of the suspend: .*us' 'phases of the thaw: .*us' \
	'its file system is clean'; do
	grep -q "$line" "$out" || { echo "not shown: $line"; exit 1; }
done
# the steps of the guest are one unbroken row
sed -n 's/.*step \([0-9]*\), the connection answers \([0-9]*\),.*/\1 \2/p' "$out" | awk '$1 != NR || $2 != NR { bad = 1 } END { exit bad || NR != 10 }'
[ "$before" = "$(ls "${TMPDIR:-/tmp}")" ]
