#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# space.sh: what does a branch take on the disk?
#
# Growth of the used space of the file system (after sync), per branch: untouched (of 10 branches);
# after start and stop of a server, which writes a checkpoint; after a migration that touches 1,000
# rows on 200 pages, over start and stop.
. "$(dirname "$0")/lib.sh"
bench_begin "$@"

MIGRATION='UPDATE pgbench_accounts SET abalance = 1 WHERE aid IN
	(SELECT page * 61 + row FROM generate_series(1, 800, 4) page, generate_series(1, 5) row)'

used_kib() {
	sync
	[[ $1 != btrfs ]] || btrfs filesystem sync "$WORK/btrfs"
	stat -f -c '%b %f %S' "$(subject_mount "$1")" | awk '{ print ($1 - $2) * $3 / 1024 }'
}
# grown SUBJECT BEFORE BRANCHES
grown() { awk -v a="$2" -v b="$(used_kib "$1")" -v n="$3" 'BEGIN { print (b - a) / n }'; }

# started_and NAME SUBJECT [SQL]: growth of a new branch on which SQL ran.
started_and() {
	local before
	before=$(used_kib "$2")
	branch_make "$2" "$1"
	server_start "$2" "$1"
	[[ -z ${3:-} ]] || query "$3"
	server_stop "$2" "$1"
	grown "$2" "$before" 1
}

space() {
	local before n idle
	before=$(used_kib "$1")
	for n in 0 1 2 3 4 5 6 7 8 9; do branch_make "$1" "idle$n"; done
	record space untouched "$1" "$(grown "$1" "$before" 10)" KiB less "$(branch_how "$1" idle) x 10"
	for n in 0 1 2 3 4 5 6 7 8 9; do branch_drop "$1" "idle$n"; done
	quiesce
	idle=$(started_and started "$1")
	record space "started and stopped" "$1" "$idle" KiB less "start; stop"
	record space "1,000 rows on 200 pages" "$1" "$(started_and changed "$1" "$MIGRATION")" KiB less \
		"start; $(tr -s '\n\t' ' ' <<<"$MIGRATION"); stop"
}

ROUND=1
for s in cowfs xfs btrfs overlay; do cell space "$s" space; done
bench_end
