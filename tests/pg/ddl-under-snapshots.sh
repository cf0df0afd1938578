#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Snapshots while databases, tables, tablespaces, unlogged tables and prepared transactions come and go.
# timeout 900
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
snapshots=${COWFS_LONG:+60}
snapshots=${snapshots:-10}
import_main
main=$M/main
pg_start "$main" -c max_prepared_transactions=10 -c allow_in_place_tablespaces=on -c checkpoint_timeout=30s
sql "$main" "create table kept(n int primary key, pad text); insert into kept select i, repeat('k', 200) from generate_series(1, 5000) i;
	create unlogged table quick(n int); insert into quick select generate_series(1, 1000)"

stop=$T/stop loops=()
loop() { # loop NAME SQL: again and again, $k is the round
	local k=0
	while [[ ! -e $stop ]]; do
		k=$((k + 1))
		# One statement a time: some of these cannot be in a transaction block.
		while IFS= read -r statement; do
			[[ -z $statement ]] || sql "$main" "${statement//\$k/$k}" >>"$T/$1.log" 2>&1 || { echo "$1: $statement" >>"$T/errors" && return; }
		done <<<"$2"
	done
}
loop databases 'create database d$k
drop database d$k' &
loops+=($!)
loop tables 'create table t$k as select i, repeat($$x$$, 300) from generate_series(1, 3000) i
create index on t$k(i)
drop table t$k' &
loops+=($!)
loop truncation 'create table if not exists v(i int, pad text)
insert into v select i, repeat($$v$$, 500) from generate_series(1, 4000) i
delete from v where i > 100
vacuum v
truncate v' &
loops+=($!)
loop tablespaces 'create tablespace s$k location $$$$
create table in_s$k(i int) tablespace s$k
insert into in_s$k values (1)
drop table in_s$k
drop tablespace s$k' &
loops+=($!)
loop prepared 'begin; update kept set pad = $$p$k$$ where n = 1; prepare transaction $$tx$k$$
commit prepared $$tx$k$$' &
loops+=($!)
loop unlogged 'insert into quick values ($k)
create unlogged table u$k(i int)
drop table u$k' &
loops+=($!)
for ((k = 1; k <= snapshots; k++)); do
	cowfs -q snapshot create main "s$k" >&2
	sleep 0.4
done
touch "$stop"
wait "${loops[@]}"
[[ ! -e $T/errors ]] || fail "a client saw an error: $(<"$T/errors") $(tail -3 "$T"/*.log)"
for ((k = 1; k <= snapshots; k++)); do
	branch "b$k" --parent "main@s$k"
	pg_start "$M/b$k" -c allow_in_place_tablespaces=on
	same "$(sql "$M/b$k" 'select count(*) from kept')" 5000
	# -2: the moment was in the middle of a DROP DATABASE, as after any crash.
	for d in $(sql "$M/b$k" 'select datname from pg_database where datallowconn and datconnlimit <> -2'); do amcheck "$M/b$k" "$d"; done
	# Prepared transactions of the moment are there and can be ended.
	for x in $(sql "$M/b$k" 'select gid from pg_prepared_xacts'); do sql "$M/b$k" "rollback prepared '$x'"; done
	sql "$M/b$k" "insert into quick values (1)"
	sql "$M/b$k" 'vacuum kept'
	pg_stop "$M/b$k"
	check_stopped "$M/b$k"
	drop "b$k"
done
pg_stop "$main"
verify_store
