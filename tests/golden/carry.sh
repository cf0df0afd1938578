#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout 600
# A refresh takes tables that did not change from the image before: same proof, few bytes. Anything beside rows that
# changed, and too many images in a row, make it be written whole. What is planted is still found.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres

pg_init "$T/prod"
pg_start "$T/prod"
prod() { sql "$T/prod" "$1"; }
quietly() { prod "set session_replication_role = replica; $1"; } # no trigger fires
prod "create table people (id int primary key, name text not null, email text unique, half text generated always as (left(email, 3)) stored);
	insert into people select g, 'Person ' || g, 'person' || g || '@real-company.com' from generate_series(1, 20000) g;
	create table orders (id serial primary key, person int not null, note text);
	alter table orders add constraint of_person foreign key (person) references people deferrable;
	comment on constraint of_person on orders is 'who';
	insert into orders (person, note) select 1 + g % 20000, 'Ring twice ' || g from generate_series(1, 20000) g;
	create table parcels (id int, day date, note text) partition by range (day);
	create table parcels_1 partition of parcels for values from ('2020-01-01') to ('2021-01-01');
	create table parcels_2 partition of parcels for values from ('2021-01-01') to ('2022-01-01');
	insert into parcels select g, date '2020-01-01' + g % 700, 'at the back door ' || g from generate_series(1, 4000) g;
	create schema \"O'dd\"; create table \"O'dd\".\"a \"\"b\\\"(id int, v text); insert into \"O'dd\".\"a \"\"b\\\" values (1, 'secret number one');
	create table few (id int primary key, note text, t int, kept text); insert into few values (1, 'a first note');
	create materialized view per_person as select person, count(*) from orders group by 1;
	create function shout() returns trigger language plpgsql as 'begin raise exception ''no trigger fires''; end';
	create trigger shout after insert on few for each row execute function shout()"
store_new
mount_store
cowfs golden init "$T/golden" >&2
conf() { printf '[source]\ntype = basebackup\nurl = host=%s port=5432 user=postgres\n[image]\ndatabases = postgres\nkeep = 1\n[publish]\n%s\n' "$(pg_sock "$T/prod")" "${1:-}" >"$T/golden/golden.conf"; }
conf
cat >"$T/golden/rules/rules.sql" <<'SQL'
KEEP people (id); MASK people.name WITH name; MASK people.email WITH email;
KEEP orders (id, person); MASK orders.note WITH text;
KEEP parcels (id, day); MASK parcels.note WITH text;
KEEP "O'dd"."a ""b\" (id); MASK "O'dd"."a ""b\".v WITH text;
KEEP few (id, t, kept); MASK few.note WITH text;
SQL
taken() { sync; { du -s --block-size=1 "$COWFS_STORE"/{ext,base} 2>/dev/null || true; } | awk '{ n += $1 } END { printf "%d", n }'; }
carry() { cowfs golden show -o json | json "carry.$1"; }
refresh() { # refresh TABLES-TAKEN-OVER
	cowfs golden refresh >"$T/refresh" 2>&1 || fail "$(<"$T/refresh")"
	same "$(carry tables_taken_over)" "$1" "tables taken over ($(carry whole_because))"
	holds=$(cowfs golden show -o json | python3 -c 'import json, sys; print(all(c["ok"] for c in json.load(sys.stdin)["checks"]))')
	same "$holds" True "all checks"
}
on_image() { # on_image QUERY...: on a branch that is thrown away
	local q
	branch look --parent golden
	cowfs start look >&2
	for q; do cowfs psql look -- -XAtqc "$q"; done
	cowfs stop look >&2
	drop look
}
facts="select (select count(*) from people), (select count(*) from people where email like '%@test.example' and half = left(email, 3)),
	(select count(*) from orders join people on person = people.id), (select count(*) from parcels), (select count(*) from per_person),
	(select count(*) from few), nextval('orders_id_seq') from pg_constraint
	where conname = 'of_person' and convalidated and condeferrable and obj_description(oid, 'pg_constraint') = 'who'"

# 1. The first is written whole.
refresh 0
contains "$(carry whole_because)" "no image before it"
fakes="select md5(string_agg(name || email, ',' order by id)) from people"
shown=$(on_image "$facts" "$fakes")
same "${shown%$'\n'*}" "20000|20000|20000|4000|20000|1|20001"
names=${shown#*$'\n'}

# 2. A small table, one partition and a sequence changed: five of six are taken over, and few bytes are new.
quietly "insert into few values (2, 'another note by person 2');
	delete from parcels where day = '2020-02-02'; select nextval('orders_id_seq')"
parcels=$(prod "select count(*) from parcels")
before=$(taken)
refresh 4
added=$(($(taken) - before))
note "bytes added: $added; of the image: $(du -s --block-size=1 "$M/golden" | cut -f1)"
# The pointer's and the image's WAL, catalogs that were vacuumed, the materialized view: not the people.
at_most "$added" $((22 << 20)) "bytes added by the second image"
same "$(on_image "$facts" "$fakes" "select count(*) from few where note like '%person 2%' or note like '%first%'")" \
	"20000|20000|20000|$parcels|20000|2|20002"$'\n'"$names"$'\n'0 "the second image: what changed, people as they were, no original"
contains "$(cowfs golden show)" "taken over: 4 unchanged tables"
contains "$(cowfs golden show -o json)" '"over proven images alone"'
same "$(cowfs branch list -q | grep -c '^golden-images/')" 1 "images that stay"
cowfs gc >&2

# 3. An original in a table that changed is found, and the image stays.
image=$(cowfs golden show -o json | json image)
quietly "insert into few (id, kept) values (3, 'see person77@real-company.com')"
exits 8 cowfs golden refresh
contains "$err" "tables are as they were: taken from image $image"
contains "$err" few.kept
lacks "$err" person77
same "$(cowfs -o json branch get golden | json settings.golden.image)" "$image" "the image after a refusal"
same "$(cowfs branch list -q | tr '\n' ' ')" "golden golden-images/$image " "what is left"
prod "delete from few where id = 3"
verify_store
[[ -n $COWFS_LONG ]] || exit 0

# 4. The referred side changes: keys are checked again, as many rows as in the source.
prod "update people set email = 'x' || email where id = 7; insert into people (id, name, email) values (20001, 'Late', 'late@real-company.com')"
conf 'rewrite_after = 7'
cowfs golden refresh >"$T/refresh" 2>&1 || fail "$(<"$T/refresh")"
contains "$(carry whole_because)" "more than half of it changed"
quietly "insert into few values (3, 'third')"
refresh 5
quietly "insert into few values (4, 'fourth'); delete from orders where id = 9"
same "$(prod "select count(*) from orders")" 19999
refresh 4
same "$(on_image "$facts")" "20001|20001|19999|$parcels|19999|4|20002"

# 5. A rule, the schema, a limit: written whole.
prod "alter table few add check (id > 0)"
refresh 0
contains "$(carry whole_because)" "schema, roles, rules or settings changed"
sed -i 's/MASK few.note WITH text/MASK few.note WITH hash/' "$T/golden/rules/rules.sql"
refresh 0
contains "$(carry whole_because)" "schema, roles, rules or settings changed"
conf 'rewrite_after = 1'
refresh 6
refresh 0
same "$(carry whole_because)" rewrite_after
conf 'rewrite_after = 0'
refresh 0

# 6. Nobody's trigger fires, or the image is written whole.
conf
refresh 6
prod "create function quiet() returns trigger language plpgsql as 'begin return new; end'; create trigger quiet after insert on orders for each row execute function quiet();
	alter table orders enable always trigger quiet"
refresh 0
quietly "delete from few where id = 3"
refresh 0
contains "$(carry whole_because)" "always fires"
same "$(on_image "select count(*) from few")" 3
verify_store
