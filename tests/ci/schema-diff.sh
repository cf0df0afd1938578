#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cowfs schema diff names every kind of object, says nothing when nothing differs, and leaves servers as they were.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres diff
import_main
on_exit 'for b in $(cowfs branch list -q 2>/dev/null); do "$COWFS" stop "$b" -m immediate; done'
sql_on() { cowfs psql "$1" -d "${3:-app}" -- -Xqv ON_ERROR_STOP=1 -c "$2" >&2; }
cowfs start main >&2
sql_on main 'create database app' postgres
sql_on main "
create role reader; create extension pg_trgm; create schema shop;
create type shop.state as enum ('new', 'paid'); create type shop.pair as (a int, b text);
create domain shop.price as numeric check (value >= 0);
create table shop.customers(id int primary key, name text not null, email text, old int default 5);
create table shop.gone(id int primary key, x text unique);
create table shop.measures(at date, v int) partition by range (at);
create table shop.measures_1 partition of shop.measures for values from ('2020-01-01') to ('2021-01-01');
create index by_name on shop.customers(name);
create view shop.names as select name from shop.customers;
create materialized view shop.counted as select count(*) from shop.customers;
create sequence shop.numbers;
create function shop.twice(x int) returns int language sql as 'select 2 * x';
create aggregate shop.total(int) (sfunc = int4pl, stype = int);
create function shop.touch() returns trigger language plpgsql as 'begin return new; end';
create trigger touched before update on shop.customers for each row execute function shop.touch();
create rule quiet as on delete to shop.gone do instead nothing;
alter table shop.customers enable row level security;
create policy mine on shop.customers using (name = current_user);
grant select on shop.customers to reader;
comment on table shop.customers is 'who buys';
create statistics shop.together on id, name from shop.customers;
create publication p for table shop.customers;
insert into shop.customers values (1, 'a', 'a@x', 1)"
branch b
# Nothing: also with other rows, other statistics, another place.
exits 0 cowfs schema diff main b -d app --exit-code
same "$out" ""
same "$(cowfs -o json schema diff main b -d app | json changes)" "[]"
contains "$(cowfs schema diff main b -d app --format markdown)" "No difference."
# b was stopped, and is again.
[[ ! -e $M/b/postmaster.pid ]] || fail "b still runs"

cowfs start b >&2
sql_on b "
create extension citext; drop extension pg_trgm; create schema extra; create table extra.fresh(id int primary key, v text);
alter type shop.state add value 'sent'; alter type shop.pair add attribute c int;
alter domain shop.price add constraint small check (value < 100);
alter table shop.customers add column org int, alter column email set not null, drop column old, alter column name type varchar(50);
" 2>"$T/refused" || true
contains "$(<"$T/refused")" "cannot alter type of a column used by a view"
sql_on b "
create extension citext; drop extension pg_trgm; create schema extra; create table extra.fresh(id int primary key, v text);
alter type shop.pair add attribute c int; alter domain shop.price add constraint small check (value < 100);
alter table shop.customers add column org int, alter column email set not null, drop column old, add constraint named check (name <> '');
drop table shop.gone; create index by_email on shop.customers(email); drop index shop.by_name;
create or replace view shop.names as select name, id from shop.customers;
drop materialized view shop.counted; alter sequence shop.numbers increment 5;
create or replace function shop.twice(x int) returns int language sql as 'select x + x';
create or replace aggregate shop.total(int) (sfunc = int4pl, stype = int, initcond = '7');
alter table shop.customers disable trigger touched; alter table shop.customers force row level security;
alter policy mine on shop.customers using (true); revoke select on shop.customers from reader; grant insert on shop.customers to reader;
revoke execute on function shop.twice(int) from public; grant update (email) on shop.customers to reader;
comment on table shop.customers is 'who buys now'; drop statistics shop.together; alter publication p set (publish = 'insert');
create table shop.measures_2 partition of shop.measures for values from ('2021-01-01') to ('2022-01-01');
alter default privileges in schema shop grant select on tables to reader; alter view shop.names owner to reader"
sql_on b "alter type shop.state add value 'sent'"
exits 0 cowfs schema diff main b -d app -o json
echo "$out" >"$T/diff.json"
exits 9 cowfs schema diff main b -d app --exit-code
contains "$out" '--- main'
contains "$out" '+++ b'
contains "$out" '+    org integer'
python3 - "$T/diff.json" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
got = {(c["change"], c["kind"], c["name"]) for c in d["changes"]}
want = {
    ("added", "extension", "citext"), ("dropped", "extension", "pg_trgm"), ("added", "schema", "extra"),
    ("added", "table", "extra.fresh"), ("dropped", "table", "shop.gone"), ("added", "table", "shop.measures_2"),
    ("changed", "table", "shop.customers"), ("changed", "type", "shop.state"), ("changed", "type", "shop.pair"),
    ("changed", "type", "shop.price"), ("added", "column", "shop.customers.org"),
    ("changed", "column", "shop.customers.email"), ("dropped", "column", "shop.customers.old"),
    ("added", "constraint", "named on shop.customers"), ("added", "index", "shop.by_email"),
    ("dropped", "index", "shop.by_name"), ("changed", "view", "shop.names"),
    ("dropped", "materialized view", "shop.counted"), ("changed", "sequence", "shop.numbers"),
    ("changed", "function", "shop.twice(integer)"), ("changed", "function", "shop.total(integer)"),
    ("changed", "trigger", "touched on shop.customers"), ("changed", "policy", "mine on shop.customers"),
    ("changed", "grant", "on table shop.customers"), ("added", "grant", "on function shop.twice(integer)"),
    ("added", "grant", "on column shop.customers.email"), ("changed", "comment", "table shop.customers"),
    ("dropped", "statistics", "shop.together"), ("changed", "publication", "p"),
    ("added", "default privileges", "of postgres for tables in shop"),
}
for what, s in (("missing", want - got), ("unexpected", got - want)):
    for c in sorted(s):
        print(what, c)
assert got == want
email = next(c for c in d["changes"] if c["name"] == "shop.customers.email")
assert (email["from"], email["to"], email["table"]) == ("text", "text not null", "shop.customers"), email
assert d["summary"] == {"added": sum(c[0] == "added" for c in want), "changed": sum(c[0] == "changed" for c in want),
                        "dropped": sum(c[0] == "dropped" for c in want)}
assert d["equal"] is False and d["diff"].startswith("--- main\n+++ b\n")
PY
# Two runs say the same, to the byte.
same "$(cowfs -o json schema diff main b -d app | md5sum)" "$(md5sum <"$T/diff.json")"
contains "$(cowfs schema diff main b -d app --format list)" shop.by_email

# Markdown that hostile names cannot leave, and that stays within its size.
branch c --parent main
cowfs start c >&2
sql_on c 'create table shop."x` | <img src=//evil> @everyone ](http://evil) | ```"(id int); comment on schema shop is $$
````
</details> <!-- @everyone
$$'
cowfs schema diff main c -d app --format markdown >"$T/comment.md"
python3 - "$T/comment.md" <<'PY'
import re, sys
text = open(sys.argv[1]).read()
fence = re.search(r"^(`{3,})diff\n", text, re.M)
inside = text[fence.end():]
assert len(fence[1]) >= 5 and inside.split("\n" + fence[1] + "\n")[0].count("<img") >= 1
outside = text[:fence.start()] + inside.split("\n" + fence[1] + "\n", 1)[1]
for bad in ("<img", "@everyone", "](", "`"):
    assert bad not in outside, (bad, outside)
rows = [l for l in outside.splitlines() if l.startswith("| added") or l.startswith("| changed")]
assert rows and all(l.count("|") == 6 for l in rows), rows
PY
sql_on c 'do $$ begin for k in 1..300 loop execute format($q$create table shop.t%s(a int, b text, c text)$q$, k); end loop; end $$'
cowfs schema diff main c -d app --format markdown >"$T/comment.md"
at_most "$(wc -c <"$T/comment.md")" 60000 "size of the comment"
contains "$(<"$T/comment.md")" "too long for a comment"
contains "$(<"$T/comment.md")" "and 1"
cowfs schema diff main c -d app --format markdown --max-size 2000 >"$T/comment.md"
at_most "$(wc -c <"$T/comment.md")" 2000 "size of the comment"

# What cannot be.
exits 3 cowfs schema diff main nowhere -d app
refused cowfs schema diff main b -d none
contains "$err" none
refused cowfs schema diff main b -d "host=127.0.0.1 dbname=app"
exits 2 cowfs schema diff main b --format html
exits 2 cowfs schema diff main
cowfs stop b >&2 && cowfs stop c >&2

# Behind serve sleepers are woken and sleep again, stopped ones are stopped again, those in use stay up.
cowfs stop main >&2
serve_start
cowfs stop b >&2
state_is main suspended || cowfs suspend main >&2
exits 9 cowfs schema diff main b -d app --exit-code
eventually 20 state_is main suspended
eventually 20 state_is b stopped
cowfs wake c >&2
exits 9 cowfs schema diff main c -d app --exit-code
state_is c idle || state_is c running || fail "c was $(state_of c)"
