#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout 300
# No request that an answer could have prevented: requests by opcode for a fixed pgbench run.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
import_main
main=$M/main
pg_start "$main" -c shared_buffers=16MB -c autovacuum=off -c wal_sync_method=open_datasync -c max_wal_size=2GB
pg_client "$main" pgbench -i -q -s 5 postgres >&2
sql "$main" "vacuum freeze"
sql "$main" "checkpoint"

requests() { cowfs -o json status | json "requests.$1" 2>/dev/null || echo 0; }
opcodes="lookup getattr setattr getxattr open read write fsync flush release"
# measure COMMAND...: what each opcode grew by, in grew[].
declare -A grew
measure() {
	declare -A before
	local o
	for o in $opcodes; do before[$o]=$(requests "$o"); done
	"$@"
	for o in $opcodes; do grew[$o]=$(($(requests "$o") - before[$o])); done
	note "$*: $(for o in $opcodes; do ((grew[$o] == 0)) || printf '%s=%s ' "$o" "${grew[$o]}"; done)"
}
read_only() { pg_client "$main" pgbench -n -S -c 4 -t 5000 postgres >&2; }
tpcb() { pg_client "$main" pgbench -n -c 4 -t 1000 postgres >&2; }

read_only # every page once into the page cache
measure read_only
total=0
for o in $opcodes; do total=$((total + grew[$o])); done
# Only the starts of four backends and of pgbench ask for anything.
at_most "$total" 600 "requests of 20,000 warm SELECTs of a database larger than shared_buffers"

tpcb # the blocks of the branch are its own now
sql "$main" "checkpoint"
wal() { sql "$main" "select wal_write + wal_sync from pg_stat_wal"; }
evicted() { sql "$main" "select pg_stat_clear_snapshot(); select buffers_checkpoint + buffers_clean + buffers_backend from pg_stat_bgwriter" | tail -1; }
sleep 1 # statistics of ended backends arrive
wal_before=$(wal) evicted_before=$(evicted)
measure tpcb
sleep 1
wal_writes=$(($(wal) - wal_before)) pages=$(($(evicted) - evicted_before))
note "4,000 commits, $wal_writes writes of WAL, $pages pages evicted"
at_most "${grew[write]}" $((4000 + pages + 200)) "WRITEs of 4,000 commits and $pages evicted pages"
at_most "${grew[getxattr]}" 1 "GETXATTR"
# Per commit nothing but its WRITE; the rest comes from starts of backends.
at_most "${grew[setattr]}" 200 "SETATTR"
at_most "${grew[getattr]}" 300 "GETATTR"
at_most "${grew[fsync]}" 100 "FSYNC"
at_most "${grew[read]}" 400 "READ"
pg_stop "$main"
