#!/bin/sh
# Copies inputs that fuzzing found from Go's cache into testdata/fuzz of their packages, where every `go test` tries them: of each
# target 50 of all sizes up to 4 KiB. The smallest alone would not do: a line of /proc/PID/stat that is one has 100 bytes. It stops
# at 50 files and takes none away: some may be there because they failed once.
set -eu
cd "$(dirname "$0")/.."
most=50
cache=$(go env GOCACHE)/fuzz/$(go list -m)
if ! [ -d "$cache" ]; then
	echo "nothing was fuzzed on this machine: run \`make fuzz\` before" >&2
	exit 1
fi
find "$cache" -type d -name 'Fuzz*' | sort | while read -r found; do
	name=${found##*/}
	package=${found#"$cache/"}
	package=${package%/*}
	grep -qs "^func $name(" "$package"/*_test.go || continue # it has another name now
	kept=$package/testdata/fuzz/$name
	mkdir -p "$kept"
	all=$(find "$found" -type f -size -4097c | wc -l)
	find "$found" -type f -size -4097c -exec ls -Sr {} + |
		awk -v all="$all" -v most="$most" 'all <= most || int(NR * most / all) > int((NR - 1) * most / all)' |
		while read -r input; do
			[ "$(find "$kept" -type f | wc -l)" -lt "$most" ] || break
			cp "$input" "$kept"
		done
	echo "$kept: $(find "$kept" -type f | wc -l) of $all inputs"
done
