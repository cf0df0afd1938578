#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 100 snapshots and 20 branches of a server that is being written to: each starts, recovers, adds up, and is clean.
# By default every fourth branch and four of the snapshots are started; with --long all of them.
# timeout 1800
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
snapshots=100 branches=20
every=${COWFS_LONG:+1}
every=${every:-25}
import_main
main=$M/main
pg_start "$main" -c checkpoint_timeout=30s -c max_wal_size=64MB
pg_client "$main" pgbench -i -q -s 5 postgres >"$T/pgbench.init" 2>&1
pg_client_background "$main" "$T/pgbench.log" pgbench -n -c 8 -j 2 -T 3600 -P 1 postgres
sleep 2
names=()
for ((k = 1; k <= snapshots; k++)); do
	cowfs -q snapshot create main "s$k" >&2
	sleep 0.1
	if ((k % (snapshots / branches) == 0)); then
		branch "b$k" --parent main
		((k % (every == 1 ? 1 : 20))) || names+=("b$k")
	fi
	kill -0 "$client" 2>/dev/null || fail "pgbench ended: $(tail -5 "$T/pgbench.log")"
done
kill "$client"
wait "$client" || true
lacks "$(<"$T/pgbench.log")" "ERROR"
lacks "$(<"$T/pgbench.log")" "aborted"
contains "$(<"$T/pgbench.log")" "tps"
same "$(pgbench_sums "$main")" t "sums of main"
for ((k = every; k <= snapshots; k += every)); do
	branch "from-s$k" --parent "main@s$k"
	names+=("from-s$k")
done
rows=0
for name in "${names[@]}"; do
	pg_start "$M/$name"
	contains "$(pg_log "$M/$name")" "redo"
	same "$(pgbench_sums "$M/$name")" t "sums of $name"
	amcheck "$M/$name"
	n=$(sql "$M/$name" 'select count(*) from pgbench_history')
	[[ $name != from-* ]] || { ((n >= rows)) || fail "$name has $n rows, an earlier one $rows" && rows=$n; }
	pg_stop "$M/$name"
	check_stopped "$M/$name"
done
lacks "$(pg_log "$main")" PANIC
pg_stop "$main"
verify_store
