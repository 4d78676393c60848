#!/bin/sh
# Usage: hack/verify-update.sh TARGET PATH...
# Runs `make TARGET` in a copy of the tree and fails when a PATH comes out different. Needs no git, touches nothing.
set -eu
cd "$(dirname "$0")/.."
target=$1
shift
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for entry in agent api charts cmd config controllers hack test go.mod go.sum Makefile; do
	[ -e "$entry" ] && cp -R "$entry" "$copy"
done
if ! "${MAKE:-make}" --no-print-directory -C "$copy" "$target" >"$copy/log" 2>&1; then
	cat "$copy/log" >&2
	exit 1
fi
failed=0
for path in "$@"; do
	diff -ruN "$path" "$copy/$path" || failed=1
done
if [ "$failed" -ne 0 ]; then
	echo "$* differ from what \`make $target\` makes (+): run \`make update\` and commit the result" >&2
fi
exit "$failed"
