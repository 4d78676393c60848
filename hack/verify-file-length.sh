#!/bin/sh
# Fails when a Go file, script or template written by hand has more than 500 lines: the longest file is what rots first.
set -eu
cd "$(dirname "$0")/.."
limit=500
failed=0
list=$(mktemp)
trap 'rm -f "$list"' EXIT
find . \( -name .git -o -name dist -o -name bin -o -path ./config/crd/bases -o -path ./charts/zombie-operator/files \) -prune -o \
	-type f \( -name '*.go' -o -name '*.sh' -o -name '*.tpl' -o -name '*.yaml' -o -name Makefile \) -print >"$list"
while read -r file; do
	lines=$(wc -l <"$file")
	[ "$lines" -gt "$limit" ] || continue
	if head -n 3 "$file" | grep -q '^// Code generated .* DO NOT EDIT\.$'; then
		continue
	fi
	echo "$file has $lines lines, $limit are allowed: split it by what it does" >&2
	failed=1
done <"$list"
exit "$failed"
