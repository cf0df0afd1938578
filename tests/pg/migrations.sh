#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout 180
# branch create says which migrations of the application its parent lacks, for the tables of the common tools.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres

pg_init "$T/source"
pg_start "$T/source"
sql "$T/source" "create database shop"
sql "$T/source" "create schema app; create table app.schema_migrations (version varchar primary key);
	insert into app.schema_migrations values ('20240101'), ('20240202')" shop
sql "$T/source" "create table \"Odd History\" (installed_rank int, version varchar, description text, success bool);
	insert into \"Odd History\" values (1, '1', 'a', true), (2, '2.1', 'b', false), (3, null, 'view', true)"
pg_stop "$T/source"
store_new
mount_store
cowfs import "$T/source" main >&2
mkdir "$T/migrate"
touch "$T/migrate/20240101_users.rb" "$T/migrate/20240202_orders.rb"

# 1. Nothing is missing: nothing is said, and its server is stopped again.
exits 0 cowfs branch create one --migrations "$T/migrate" -o json
same "$err" ""
same "$(json migrations.missing <<<"$out")" "[]"
same "$(json migrations.tool <<<"$out") $(json migrations.database <<<"$out") $(json migrations.table <<<"$out")" "Rails shop app.schema_migrations"
same "$(json migrations.applied <<<"$out") $(json migrations.expected <<<"$out")" "2 2"
same "$(cowfs -o json branch get one | json current_state)" stopped

# 2. The image is behind: a warning with names and a remedy; the branch is there, and the exit status 0.
touch "$T/migrate/20240303_orgs.rb" "$T/migrate/README.md"
exits 0 cowfs branch create two --migrations "$T/migrate"
contains "$err" "two lacks 1 of 3 migrations (Rails, app.schema_migrations): 20240303"
contains "$err" "Refresh the image"
# A server that runs goes on.
cowfs start main >&2
on_exit "cowfs stop main"
ls "$T/migrate" | cowfs branch create four --migrations - -o json >"$T/out" 2>"$T/err"
same "$(json migrations.missing.0 <"$T/out")" 20240303
cowfs psql main -- -c 'select 1' >&2

# 3. A table by another name; a step that failed was not applied; a name is no SQL.
exits 0 cowfs branch create five --migrations V1__a.sql,V2_1__b.sql --migrations-table 'public.Odd History' -o json
same "$(json migrations.tool <<<"$out") $(json migrations.missing <<<"$out")" 'Flyway ["2.1"]'
exits 0 cowfs branch create six --migrations 1 --migrations-table "x'; drop table \"Odd History\"; --" -o json
contains "$err" "six has no table of migrations that is known"
same "$(json migrations <<<"$out")" null
exits 2 cowfs branch create seven --migrations-table x
exits 2 cowfs branch create seven --empty --migrations 1
