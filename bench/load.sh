#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# load.sh: how fast does a COPY load go, with the CHECKPOINT that brings it to the disk?
#
# About 100 bytes a row; the file is read from the page cache. Milliseconds, of COPY alone and of
# COPY and CHECKPOINT together: a file system that only puts the work off shows it here.
. "$(dirname "$0")/lib.sh"
bench_begin "$@"

[[ -e $WORK/load.tsv ]] || seq "$LOAD_ROWS" |
	awk '{ printf "%d\t%d\t%d\t%-80s\n", $1, $1 % 97, $1 * 7 % 1000, "row " $1 }' >"$WORK/load.tsv"
chmod 644 "$WORK/load.tsv"

load() {
	local copied flushed sql="COPY loaded FROM '$WORK/load.tsv'"
	branch_make "$1" load
	server_start "$1" load
	query 'CREATE TABLE loaded (id int, a int, b int, filler text)'
	query 'CHECKPOINT'
	cat "$WORK/load.tsv" >/dev/null
	copied=$(timed_sql "$sql")
	flushed=$(timed_sql 'CHECKPOINT')
	record copy "" "$1" "$copied" ms less "$sql"
	record load "" "$1" "$(awk "BEGIN { print $copied + $flushed }")" ms less "$sql; CHECKPOINT"
}

rounds load load host cowfs xfs btrfs overlay cowfs-ephemeral host-nofsync
bench_end
