#!/bin/sh
# test/shell.sh: checks of the scripts that check nothing. Under `set -e' a failing A of the statement `A && B' ends nothing, and neither does `! A'. In a
# script with `set -e' each statement is one test, or has `|| ...' behind it, or is the condition of an if or a loop.
cd "$(dirname "$0")/.." || exit 1
bad=$(find test -name '*.sh' -type f | LC_ALL=C sort | xargs grep -l '^set -e' | xargs awk '
	# the text of a line without its strings, substitutions and comment; what is open at its end stays open (open: a quote, depth: of substitutions)
	function bare(line,    i, c, out) {
		out = ""
		for (i = 1; i <= length(line); i++) {
			c = substr(line, i, 1)
			if (c == "\\" && open != "\047") { i++; continue }
			if (open != "") { if (c == open) open = ""; continue }
			if (c == "\047" || c == "\"") { open = c; continue }
			if (c == "#" && (i == 1 || substr(line, i - 1, 1) ~ /[ \t;]/)) break
			if (c == "$" && substr(line, i + 1, 1) == "(") { depth++; i++; continue }
			if (depth > 0) { depth += (c == "(") - (c == ")"); continue }
			out = out c
		}
		return out
	}
	FNR == 1 { open = ""; depth = 0; until = "" }
	until != "" { if ($1 == until) until = ""; next }
	{
		text = bare($0)
		if (open == "" && match($0, /<<-?[\047"]?[A-Z]+/)) { until = substr($0, RSTART, RLENGTH); gsub(/[^A-Z]/, "", until) }
		if (text ~ /^[a-z_]+\(\) *[{(].*[})]$/) next	# the status of a function is for who calls it
		count = split(text, part, /;+|(^|[ \t])(then|do|else)[ \t]|[{][ \t]/)
		for (i = 1; i <= count; i++) {
			gsub(/^[ \t]+|[ \t]+$/, "", part[i])
			rest = part[i]
			sub(/^.*&& */, "", rest)
			if (part[i] ~ /^(if|elif|while|until)[ \t]|^[(]/) continue
			if (part[i] ~ /^! / && part[i] !~ /\|\|/ || part[i] ~ /&& / && rest !~ /\|\|/) { print FILENAME ":" FNR ": " $0; break }
		}
	}')
[ -z "$bad" ] || { echo "these look like checks and end nothing under set -e (see test/shell.sh):"; echo "$bad"; exit 1; }
