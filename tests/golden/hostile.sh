#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout 420
# Databases that could let an original through, or stop a refresh for no reason: composite values with NULLs, triggers and rules
# that fire ALWAYS, event triggers, transactions that are prepared, foreign tables, labels on roles, materialized
# views, row security, names with quotes; two databases, also when tables are taken over. Errors show no value.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres

pg_init "$T/prod" -k
pg_start "$T/prod" -c max_prepared_transactions=5 -c allow_system_table_mods=on
db2=$'we"ird \'d b=1'
prod() { sql "$T/prod" "$1"; }
prod2() { as_pg "$PGBIN/psql" -h "$(pg_sock "$T/prod")" -p 5432 -U postgres -d "dbname='${db2//\'/\\\'}'" -XAtq -v ON_ERROR_STOP=1 -c "$1" </dev/null; }
prod "create database \"${db2//\"/\"\"}\""
prod "create type place as (street text, number int);
	create table users (id int primary key, at place, email text);
	insert into users select g, row('Secretstreet ' || g, case when g % 2 = 0 then g end)::place, null from generate_series(1, 400) g;
	create table audit (n int, what text);
	insert into audit select g, 'Secretperson ' || g from generate_series(1, 50) g;
	create function stay() returns trigger language plpgsql as 'begin return null; end';
	create trigger stay before delete on audit for each row execute function stay();
	alter table audit enable always trigger stay;
	create table ledger (what text);
	insert into ledger select 'Secretentry ' || g from generate_series(1, 50) g;
	create rule stay as on delete to ledger do instead nothing;
	alter table ledger enable always rule stay;
	create table seen_ddl (tag text);
	create function ddl() returns event_trigger language plpgsql as 'begin raise exception ''no change of the schema here''; end';
	create event trigger ddl on ddl_command_end execute function ddl();
	alter event trigger ddl enable always"
# Nobody committed it: its rows are no part of the image, its locks stop nobody.
prod "begin; update users set email = 'never@committed-company.com' where id = 3; prepare transaction 'it''s \"open'"
prod2 "create table \"O'Hara \"\"t\"\" %s\" (\"a\"\"b'c\\\" text, \"%s \$1\" int primary key, \"select\" text);
	insert into \"O'Hara \"\"t\"\" %s\" select 'Secretvalue ' || g, g, 'Secretselect ' || g from generate_series(1, 300) g;
	create table docs (id int primary key, body text);
	insert into docs select g, 'Secretbody ' || g || ' of a document' from generate_series(1, 3000) g;
	alter table docs enable row level security; alter table docs force row level security;
	create policy none on docs using (false);
	create materialized view shown as select id, body from docs;
	create materialized view of_shown as select max(body) as body from shown;
	create materialized view empty_one as select body from docs with no data;
	create unlogged table fast (v text); insert into fast values ('Secretfast one');
	create table parts (id int, who text, len int generated always as (length(who)) stored) partition by list (id);
	create table parts_1 partition of parts for values in (1); insert into parts values (1, 'Secretwho');
	create index broken on only parts (who);
	create extension postgres_fdw;
	create server away foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1');
	create user mapping for postgres server away options (password 'Secretmapping');
	create foreign table far (name text) server away;
	insert into pg_seclabel values ('docs'::regclass, 'pg_class'::regclass, 2, 'anon', 'MASKED WITH FUNCTION anon.lorem_ipsum()')"
prod "create role masked_one; insert into pg_shseclabel values ('masked_one'::regrole, 'pg_authid'::regclass, 'anon', 'MASKED')"

store_new
mount_store
cowfs golden init "$T/golden" >&2
printf '[source]\ntype = basebackup\nurl = host=%s port=5432 user=postgres\n[image]\nkeep = 1\n' "$(pg_sock "$T/prod")" >"$T/golden/golden.conf"
cat >"$T/golden/rules/rules.sql" <<'SQL'
KEEP users (id); MASK users.at WITH null; MASK users.email WITH email;
EMPTY audit; EMPTY ledger; KEEP seen_ddl (tag);
SQL
mkdir "$T/golden/rules/$db2"
cat >"$T/golden/rules/$db2/rules.sql" <<'SQL'
MASK "O'Hara ""t"" %s"."a""b'c\" WITH text; KEEP "O'Hara ""t"" %s" ("%s $1"); MASK "O'Hara ""t"" %s"."select" WITH hash;
KEEP docs (id); MASK fast.v WITH text; KEEP parts (id); MASK parts.who WITH text;
SQL

# A foreign table is listed, and nobody goes where it leads.
exits 4 cowfs golden check
contains "$out" '"far"."name"'
exits 4 cowfs golden refresh -q
contains "$err" "public.far.name: nobody decided about it"
echo 'KEEP far (name);' >>"$T/golden/rules/$db2/rules.sql"

look() { # look DATABASE QUERY
	cowfs psql look -d "$1" -- -XAtqc "$2"
}
check_image() { # check_image TABLES-TAKEN-OVER
	cowfs golden refresh >"$T/refresh" 2>&1 || fail "$(<"$T/refresh")"
	same "$(cowfs golden show -o json | json carry.tables_taken_over)" "$1" "tables taken over ($(cowfs golden show -o json | json carry.whole_because))"
	branch look --parent golden
	cowfs start look >&2
	same "$(look postgres "select count(*), count(*) filter (where at is distinct from null), count(email) from users")" "400|0|0"
	same "$(look postgres "select (select count(*) from audit), (select count(*) from ledger), (select count(*) from pg_prepared_xacts)")" "0|0|0"
	same "$(look postgres "select (select evtenabled from pg_event_trigger), (select tgenabled from pg_trigger where tgname = 'stay'),
		(select ev_enabled from pg_rewrite where rulename = 'stay')")" "${fired-A|A|A}" "what always fires"
	same "$(look "$db2" "select count(*), count(*) filter (where \"a\"\"b'c\\\" ~ 'Secret' or \"select\" ~ 'Secret'), count(distinct \"select\") from \"O'Hara \"\"t\"\" %s\"")" "300|0|300"
	same "$(look "$db2" "select count(*), count(*) filter (where body ~ 'Secret'), (select count(*) from of_shown where body ~ 'Secret'),
		(select relispopulated from pg_class where relname = 'empty_one') from shown")" "3000|0|0|f"
	same "$(look "$db2" "select count(*) filter (where v ~ 'Secret'), (select count(*) from parts where who ~ 'Secret' or len <> length(who)) from fast")" "0|0"
	same "$(look "$db2" "select relrowsecurity, relforcerowsecurity, (select count(*) from pg_user_mappings) from pg_class where relname = 'docs'")" "t|t|0"
	cowfs stop look >&2
	drop look
	exits 0 cowfs golden scan golden --fake-domain test.example --originals - <<<$'Secretstreet\nSecretperson\nSecretentry\nSecretvalue\nSecretselect\nSecretbody\nSecretfast\nSecretwho\nSecretmapping\ncommitted-company'
}
check_image 0
contains "$(<"$T/refresh")" "1 prepared transaction"


# Without what always fires, of two databases all tables but those that changed are taken over.
if [[ -n $COWFS_LONG ]]; then
	prod "alter event trigger ddl disable; drop event trigger ddl; drop trigger stay on audit; drop rule stay on ledger"
	fired="||"
	check_image 0
	contains "$(cowfs golden show -o json | json carry.whole_because)" "schema, roles, rules or settings changed"
	prod2 "insert into parts values (1, 'Secretwho two')"
	check_image 7
fi
verify_store
