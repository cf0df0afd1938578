#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout 200
# A fork that nobody is a superuser of: those of the original do not get in, what would make one is gone, and the role
# that is left can do all that an application, its migrations and its tests need. Its password stays over reset.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
import_main
# As production may be: let in by trust, a second superuser, and ways to become one.
printf 'local all all trust\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n' >"$M/main/pg_hba.conf"
cowfs start main >&2
on_exit "for b in main r child both conf; do cowfs stop \$b -m immediate; done"
run() { cowfs psql main -d "${2:-postgres}" -- -XAtq -v ON_ERROR_STOP=1 -c "$1" </dev/null >&2; }
run "create role \"bo\"\"ss\" superuser login password 'x'; create role sneak login password 'x'; grant \"bo\"\"ss\" to sneak;
	create role runs login; grant pg_execute_server_program to runs; create role maker login createrole replication;
	create role app login password 'old'"
run "create database shop"
run "create extension hstore; create extension dblink; create schema s;
	create table s.t(id serial primary key, g int generated always as identity, v hstore); create table s.p(a int) partition by range (a);
	create table s.p1 partition of s.p for values from (0) to (10); create view s.v as select id from s.t; create materialized view s.m as select 1 as a;
	create type s.e as enum ('a'); create domain s.d as int; create type s.c as (a int); create type s.rg as range (subtype = int4);
	create function s.who() returns text language sql security definer as 'select current_user::text';
	create procedure s.pr() language plpgsql as 'begin null; end'; create aggregate s.agg(int) (sfunc = int4pl, stype = int);
	create statistics s.st on id, g from s.t; create operator s.=== (leftarg = int, rightarg = int, function = int4eq);
	create collation s.co (locale = 'C'); create publication pub for table s.t; select lo_create(4711);
	create text search configuration s.ts (copy = simple); create function s.c_fn(internal) returns internal language internal as 'int4eq'" shop
run "set role app; create table public.of_app(a int)" shop || { run "grant create on schema public to app" shop && run "set role app; create table public.of_app(a int)" shop; }
# Somebody watches every change of the schema; ours is none of them.
run "create function no() returns event_trigger language plpgsql as 'begin raise exception ''no''; end'; create event trigger no on ddl_command_end execute function no()" shop

port() { cowfs -o json url "$1" | json port; }
# as BRANCH USER PASSWORD DATABASE SQL: over TCP, as any client
as() { PGPASSWORD=$3 "$PGBIN/psql" -h 127.0.0.1 -p "$(port "$1")" -U "$2" -d "$4" -XAtq -v ON_ERROR_STOP=1 -c "$5" </dev/null 2>&1; }
no() { if out=$(as "$@"); then fail "was allowed: $5: $out"; fi; }

note "made from the running original"
exits 0 cowfs branch create r --parent main --restricted -o json
password=$(json passwords.restricted <"$T/.out")
lacks "$(cowfs branch get r -o json)" "SCRAM"
lacks "$(cowfs branch list -o json)" "SCRAM"
contains "$(cowfs branch get r)" "superusers locked"
contains "$(cowfs branch get main)" "superusers kept"
cowfs start r >&2
same "$(cowfs url r)" "postgresql://restricted@127.0.0.1:$(port r)/postgres"
sed -i 's/trust$/scram-sha-256/' "$M/r/pg_hba.conf"
pg_reload() { kill -HUP "$(pg_pid "$M/$1")"; }
pg_reload r
eventually 10 as r restricted "$password" shop "select 1"

note "superusers do not get in, not even by trust, nor as replication"
for user in postgres 'bo"ss'; do
	no r "$user" x postgres "select 1"
	contains "$out" "rejects"
	if PGPASSWORD=x "$PGBIN/psql" "host=127.0.0.1 port=$(port r) user='$user' dbname=postgres replication=true" -XAtqc 'identify_system' >&2; then fail "$user replicates"; fi
done
sockets=$(cowfs -o json start r | json socket_dir)
contains "$("$PGBIN/psql" -h "$sockets" -p "$(port r)" -U postgres -d postgres -c 'select 1' 2>&1 || true)" "Peer authentication failed"
same "$(cowfs psql r -- -XAtqc 'select session_user')" postgres "the owner of the files"
same "$(cowfs psql r -- -XAtqc "select string_agg(rolname, ',' order by 1) from pg_authid where rolsuper and rolpassword is not null")" ""

note "nobody becomes one"
no r sneak x postgres 'set role "bo""ss"'
no r restricted "$password" postgres "set role postgres"
no r restricted "$password" postgres "alter role restricted superuser"
no r restricted "$password" postgres "create role x superuser"
no r restricted "$password" postgres "grant pg_execute_server_program to restricted"
no r restricted "$password" postgres "copy (select 1) to program 'true'"
no r restricted "$password" postgres "select pg_read_file('postgresql.conf')"
no r restricted "$password" postgres "select lo_import('/etc/passwd')"
no r restricted "$password" postgres "select rolpassword from pg_authid"
no r restricted "$password" postgres "alter system set archive_command = 'true'"
no r restricted "$password" shop "create function f() returns int language c as 'x', 'y'"
no r restricted "$password" shop "select * from dblink('host=$sockets port=$(port r) user=postgres dbname=postgres', 'select 1') t(a int)"
same "$(cowfs psql r -- -XAtqc "select count(*) from pg_roles where not rolsuper and (rolcreaterole or rolreplication)")" 0
same "$(as r restricted "$password" shop "select s.who()")" restricted "a SECURITY DEFINER function of a superuser"
# Not by a trap for cowfs either, which connects as one.
as r restricted "$password" postgres "create schema trap; create function trap.sum(bigint) returns bigint language plpgsql as 'begin alter role restricted superuser; return 1; end';
	create view trap.pg_stat_activity as select trap.sum(1) as pid; create view trap.pg_stat_database as select trap.sum(1) as xact_commit, 1::bigint as xact_rollback;
	create function trap.is_one(int, int) returns boolean language plpgsql as 'begin alter role restricted superuser; return true; end';
	create operator trap.<> (leftarg = int, rightarg = int, function = trap.is_one);
	alter database postgres set search_path = trap, pg_catalog" >&2
cowfs top --once >&2
branch of-r --parent r
same "$(cowfs psql r -- -XAtqc "select rolsuper from pg_catalog.pg_roles where rolname operator(pg_catalog.=) 'restricted'")" f
as r restricted "$password" postgres "alter database postgres reset search_path" >&2

note "what an application does goes on"
contains "$(as r restricted "$password" shop "create table z()" || true)" "no"
cowfs psql r -d shop -- -XAtqc "drop event trigger no" >&2
as r restricted "$password" shop "insert into s.t(v) values ('a=>1'); alter table s.t add column n int; create index on s.t(n); drop view s.v;
	alter type s.e add value 'b'; alter domain s.d set default 1; drop statistics s.st; drop aggregate s.agg(int); drop publication pub;
	drop text search configuration s.ts; drop operator s.===(int, int); drop collation s.co; drop type s.rg; drop procedure s.pr();
	select lo_unlink(4711); refresh materialized view s.m; create table s.p2 partition of s.p for values from (10) to (20);
	insert into of_app values (1); alter table of_app add column b int; set role app; select a from of_app; create temp table x()" >&2
same "$(cowfs psql r -d shop -- -XAtqc "select string_agg(proname, ',') from pg_proc where proowner = 10 and pronamespace = 's'::regnamespace")" c_fn
as r restricted "$password" postgres "create database other" >&2
as r restricted "$password" other "create table public.t(); create extension pg_trgm" >&2
same "$(as r app old shop "select current_user")" app

note "the same password after a reset, and after a restart; the original has nothing of it"
cowfs stop r >&2
exits 0 cowfs branch reset r --yes
exits 0 cowfs start r
contains "$err" "the superusers of r are locked"
sed -i 's/trust$/scram-sha-256/' "$M/r/pg_hba.conf"
pg_reload r
scrams() { [[ $(as r restricted wrong shop "select 1") == *"authentication failed"* ]]; }
eventually 10 scrams
same "$(as r restricted "$password" shop "select count(*) from s.v")" 0
no r 'bo"ss' x postgres "select 1"
same "$(grep -c 'cowfs: superusers' "$M/r/pg_hba.conf")" 1
same "$(cowfs psql main -- -XAtqc "select count(*) from pg_roles where rolname = 'restricted'")" 0

note "a child is made, and locked by its own policy with a password of its own"
exits 0 cowfs branch create child --parent r --restricted -o json
differ "$(json passwords.restricted <"$T/.out")" "$password"
cowfs start child >&2
same "$(grep -c 'cowfs: superusers' "$M/child/pg_hba.conf")" 1
same "$(as child restricted "$(json passwords.restricted <"$T/.out")" postgres "select 1")" 1
no child 'bo"ss' x postgres "select 1"

note "both: and the passwords of production are gone for good"
exits 0 cowfs branch create both --parent main --restricted --reset-passwords
contains "$out" "New passwords, shown only now"
app=$(sed -n 's/^  app  //p' "$T/.out")
same "$(grep -c '^  ' "$T/.out")" 3 # restricted, app, sneak: superusers have none any more
check_both() {
	sed -i 's/trust$/scram-sha-256/' "$M/both/pg_hba.conf"
	cowfs start both >&2
	same "$(as both app "$app" shop "select 1")" 1
	no both app old shop "select 1"
	cowfs stop both >&2
}
check_both
# A role that production has only since then: its password opens nothing here.
run "create role later login password 'later'"
exits 0 cowfs branch reset both --yes
sed -i 's/trust$/scram-sha-256/' "$M/both/pg_hba.conf"
cowfs start both >&2
no both later later shop "select 1"
cowfs stop both >&2
check_both

note "by the configuration; and a superuser that has the name"
printf '[fork]\nsuperusers = locked\n' >"$COWFS_STORE/cowfs.conf"
exits 0 cowfs branch create conf
contains "$out" "restricted  "
run "create role restricted superuser"
refused cowfs branch create never
contains "$err" "the role restricted is a superuser"
rm "$COWFS_STORE/cowfs.conf"
refused cowfs branch create x --fork superusers=gone
contains "$err" "superusers=kept|locked"
if grep -rqF "$password" "$COWFS_STORE/log"; then fail "a password is in a log"; fi
for b in main r child; do cowfs stop $b >&2; done
unmount_store
verify_store
