#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A branch with a quota: postgres gets an ordinary error, never a PANIC; it shuts down and starts; what is inherited is free;
# DELETE and VACUUM, TRUNCATE, or a larger quota heal; df, branch get and du say how much. With both caches.
# timeout 300
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres cowfs
import_main --wal-segsize=1
# WAL is charged like everything, so there is little of it.
start() { pg_start "$M/$1" -c max_wal_size=4MB -c min_wal_size=2MB -c checkpoint_completion_target=0.01; }
start main
sql "$M/main" "create table big as select g n, repeat('x', 500) t from generate_series(1, 60000) g"
sql "$M/main" "vacuum freeze big" # else the first read on a branch sets hint bits: changed pages, which are charged
sql "$M/main" checkpoint
pg_stop "$M/main"

quota_of() { cowfs -o json branch get "$1" | json "quota_$2"; }
df_of() { df -B1 --output="$2" "$M/$1" | tail -1 | tr -d ' '; }

try() { # try BRANCH: everything, on a branch with a quota of 24 MB over a parent of more
	local b=$1 used out
	branch "$b" --parent main --quota 24M
	same "$(quota_of "$b" bytes)" $((24 << 20)) "quota of $b"
	same "$(df_of "$b" size)" $((24 << 20)) "df of $b"
	(($(sql_size "$b") > 24 << 20)) || fail "the parent is too small for this test"
	start "$b"
	at_most "$(quota_of "$b" used_bytes)" $((8 << 20)) "what a started server has of its own"
	# Too much: an error, and the server goes on.
	out=$(sql "$M/$b" "create table mine as select g n, repeat('y', 500) t from generate_series(1, 200000) g" 2>&1) && fail "the quota was not kept"
	contains "$out" "Disk quota exceeded"
	contains "$out" "ERROR"
	same "$(sql "$M/$b" "select count(*) from big")" 60000 "reads of $b"
	# What the failed statement wrote is gone, with the next checkpoint its WAL as well, and there is room again.
	sql "$M/$b" checkpoint
	sql "$M/$b" "create table mine(n int, t text)"
	fill "$b"
	used=$(quota_of "$b" used_bytes)
	((used > 20 << 20)) || fail "full with only $used bytes"
	at_most "$used" $((40 << 20)) "charged to $b" # a quota of 24 MB, WAL and changed pages beside it
	at_most "$(df_of "$b" avail)" $((4 << 20)) "available on $b"
	# Full: checkpoints, a clean shutdown, a start, a crash and its recovery all work.
	sql "$M/$b" checkpoint
	pg_stop "$M/$b"
	check_stopped "$M/$b"
	start "$b"
	pg_kill "$M/$b"
	start "$b"
	# Rows that exist can be changed and deleted, and that heals.
	for out in "delete from mine" "vacuum mine" checkpoint; do sql "$M/$b" "$out"; done
	sql "$M/$b" "insert into mine select g, 'z' from generate_series(1, 1000) g"
	fill "$b"
	for out in "truncate mine" checkpoint; do sql "$M/$b" "$out"; done
	sql "$M/$b" "insert into mine select g, repeat('y', 500) from generate_series(1, 2000) g"
	fill "$b"
	# So does a larger quota, at once.
	cowfs -q branch set "$b" --quota 200M >&2
	sql "$M/$b" "insert into mine select g, repeat('y', 500) from generate_series(1, 40000) g"
	# Charged in memory is what is counted from the map.
	pg_stop "$M/$b"
	used=$(quota_of "$b" used_bytes)
	unmount_store
	mount_store "$M" "${cache[@]}"
	same "$(quota_of "$b" used_bytes)" "$used" "counted again"
	cowfs du "$b" >&2
	! pg_log "$M/$b" | grep PANIC >&2 || fail "PANIC on $b"
	same "$(quota_of main bytes)" null "quota of main"
	cowfs -q branch set "$b" --quota none >&2
	same "$(quota_of "$b" bytes)" null "no quota any more"
	(($(df_of "$b" size) > 200 << 20)) || fail "df still shows a quota"
	start "$b"
	amcheck "$M/$b"
	pg_stop "$M/$b"
	check_stopped "$M/$b"
}
sql_size() { cowfs -o json branch get "$1" | json logical_size; }
fill() { # until nothing more fits
	local k out
	for ((k = 0; k < 200; k++)); do
		out=$(sql "$M/$1" "insert into mine select g, repeat('y', 500) from generate_series(1, 2000) g" 2>&1) || break
	done
	((k < 200)) || fail "the quota of $1 was not kept"
	contains "$out" "Disk quota exceeded"
}

cache=(--cache writeback)
unmount_store
mount_store "$M" "${cache[@]}"
try bound
cache=(--cache writethrough)
unmount_store
mount_store "$M" "${cache[@]}"
try bound2

# A branch that is written to gets a quota: what it has counts.
pg_start "$M/main"
cowfs -q branch set main --quota 1G >&2
(($(quota_of main used_bytes) > 30 << 20)) || fail "a base has all that was imported"
exits 2 cowfs branch set main --quota 0
exits 2 cowfs branch set main --quota lots
pg_stop "$M/main"
# A branch made of it is free of it; a reset keeps the name's quota.
branch child --parent main
same "$(quota_of child bytes)" null "quota of a child"
cowfs -q branch set child --quota 30M >&2
echo "-- mine" >>"$M/child/postgresql.conf"
cowfs -q branch reset child --yes >&2
same "$(quota_of child bytes)" $((30 << 20)) "quota after a reset"
verify_store
