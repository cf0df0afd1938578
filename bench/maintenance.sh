#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# maintenance.sh: how long do the large statements of a migration take?
#
# On one fresh branch, in this order: cold sequential scan of what the parent wrote; ALTER TABLE that
# rewrites the table (every block read from the parent, every block new); CREATE INDEX; VACUUM after
# an UPDATE of each tenth row; cold scan of what the branch wrote itself.
. "$(dirname "$0")/lib.sh"
bench_begin "$@"

# record_sql MEASURE STATE SUBJECT SQL
record_sql() {
	record "$1" "$2" "$3" "$(timed_sql "$4")" ms less "$4"
}
cold_scan() {
	server_stop "$2" migrate
	server_start "$2" migrate
	drop_caches
	query 'SELECT 1' >/dev/null
	record_sql scan "$1" "$2" 'SELECT count(*) FROM pgbench_accounts'
}

migrate() {
	branch_make "$1" migrate
	server_start "$1" migrate
	cold_scan inherited "$1"
	record_sql alter "" "$1" 'ALTER TABLE pgbench_accounts ALTER COLUMN bid TYPE bigint'
	record_sql index "" "$1" 'CREATE INDEX ON pgbench_accounts (abalance, bid)'
	query 'UPDATE pgbench_accounts SET abalance = 1 WHERE aid % 10 = 0'
	query 'CHECKPOINT'
	record_sql vacuum "" "$1" 'VACUUM pgbench_accounts'
	cold_scan own "$1"
}

rounds migrate migrate host cowfs xfs btrfs overlay
bench_end
