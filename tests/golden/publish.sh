#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout 420
# What is published is proven: nothing that was planted in any hiding place of the source is in the image; what
# is left somewhere stops the publish and is named; the pointer moves in one step and disturbs nobody.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/residue.sh"
requires fuse root postgres cowfs

cases=0 bad=0
check() { # check WORDS COMMAND...
	cases=$((cases + 1))
	if (trap - ERR && set +E && "${@:2}") >"$T/.said" 2>&1; then
		echo "ok $cases - $1"
	else
		echo "not ok $cases - $1"
		tail -n 20 "$T/.said" | sed 's/^/# /'
		bad=1
	fi
}

# --- a source with something in every place ---
pg_init "$T/source" -k
pg_start "$T/source" "${plant_settings[@]}"
sql "$T/source" "
	create table customers (id int primary key, name text not null, email text unique, card text, iban text, phone text,
		seen timestamptz, balance numeric, token uuid);
	insert into customers select g, 'Person Number' || g, 'person' || g || '.' || left(md5(g::text), 6) || '@real-company.com',
		case when g % 2 = 0 then '4539578763621486' else '5425233430109903' end, 'DE89370400440532013000',
		'+49 30 ' || 90000000 + g * 37, now() - g * interval '1.000123 day', 123456789012.5678 + g, md5(g::text)::uuid
		from generate_series(1, 2000) g;
	create table orders (id int primary key, customer int references customers, note text);
	insert into orders select g, 1 + g % 2000, 'order ' || g from generate_series(1, 3000) g;
	create role app login password 'hunter2secret';
	grant select on customers to app;
	create materialized view best as select * from customers where id < 10"
plant "$T/source"
printf 'card\t4539578763621486\niban\tDE89370400440532013000\ncompany\t@real-company.com\npassword\tSCRAM-SHA-256$4096\n' >>"$T/originals"

store_new
mount_store
conf=$T/golden
mkdir -p "$conf/rules"
cat >"$conf/golden.conf" <<CONF
[image]
name = golden
keep = 2
[source]
type = pgdata
pgdata = $T/source
[publish]
fake_domain = test.example
sample = 5000
CONF
cat >"$conf/rules/all.sql" <<'SQL'
MASK customers.name WITH name;
MASK customers.email WITH email;
MASK customers.card WITH card;
MASK customers.iban WITH iban;
MASK customers.phone WITH phone;
MASK customers.seen WITH shift(30);
MASK customers.balance WITH noise(0.2);
MASK customers.token WITH hash;
KEEP customers (id);
KEEP orders (id, customer, note);
MASK people.email WITH email;
KEEP people (id);
MASK notes.note WITH text;
MASK notes.more WITH text;
KEEP notes (id);
MASK packed.note WITH text;
MASK packed4.note WITH text;
KEEP packed (id);
KEEP packed4 (id);
MASK keys.email WITH email;
MASK seen.email WITH email;
MASK image_pglz.note WITH text;
MASK image_lz4.note WITH text;
MASK image_zstd.note WITH text;
KEEP image_pglz (id);
KEEP image_lz4 (id);
KEEP image_zstd (id);
LARGE OBJECTS EMPTY;
SQL
refresh() { cowfs golden refresh --config "$conf"; }

# --- before and after ---
hits_of() { # hits_of NAME SCAN: hits of this original
	python3 -c 'import json, sys
print(sum(h["count"] for h in json.load(open(sys.argv[2]))["hits"] if h["what"].startswith("values.%s " % sys.argv[1])))' "$@"
}
exits 8 cowfs golden scan --directory "$T/source" --no-detectors --originals "$T/originals" -o json
printf '%s' "$out" >"$T/before.json"
is_there() { [[ $(hits_of "$1" "$T/before.json") -gt 0 ]]; }
is_gone() { [[ $(hits_of "$1" "$T/after.json") == 0 ]]; }
for name in "${!planted[@]}"; do check "$name is in the source" is_there "$name"; done
check "a refresh publishes" refresh
((bad == 0)) || { echo "1..$cases" && exit 1; }
image=$(cowfs branch get golden -o json | json settings.golden.image)
cowfs golden scan "golden-images/$image" --originals "$T/originals" --fake-domain test.example -o json >"$T/after.json" || note "something was found"
for name in "${!planted[@]}"; do check "$name is not in the image" is_gone "$name"; done
check "nothing that was planted, no data of people" cowfs golden scan golden --originals "$T/originals" --fake-domain test.example

# --- what it is ---
root_of_its_own() {
	[[ $(cowfs branch get "golden-images/$image" -o json | json forks) == 0 ]] && [[ $(cowfs branch get golden -o json | json forks) == 1 ]]
}
check "the image begins with itself" root_of_its_own
alone() { [[ $(cowfs branch list -q | sort | tr '\n' ' ') == "golden golden-images/$image " ]]; }
check "the import and all that was made on the way are gone" alone
shown() {
	cowfs golden show >"$T/page" && cat "$T/page" && grep -q 'published' "$T/page" && grep -q '| amcheck | holds' "$T/page" &&
		grep -q '| no trace of originals in any byte | holds' "$T/page" && grep -q '| public.customers.email (postgres) | 2000 | 2000' "$T/page" &&
		[[ $(cowfs golden show "$image" -o json | json rules_hash | wc -c) == 65 ]]
}
check "its report is kept with it" shown
unused() { [[ -z $(find "$M/golden-images/$image" "$M/golden" -name 'pgsql_tmp?*' -o -name '*.log' -o -name postmaster.opts) ]]; }
check "no log, no spill, no trace of its making" unused
on_branch() { cowfs psql "$1" -- -XAtqc "$2"; }
cowfs branch create pr-1 --parent golden >&2
cowfs start pr-1 >&2
on_exit "cowfs stop pr-1"
whole() {
	same "$(on_branch pr-1 "select count(*) from customers join orders on customer = customers.id")" 3000 &&
		same "$(on_branch pr-1 "select count(*) from customers where email like 'user\\_%@test.example'")" 2000 &&
		same "$(on_branch pr-1 "select count(*) from best")" 9 &&
		same "$(on_branch pr-1 "select count(*) from pg_authid where rolname = 'app' and rolpassword is null")" 1 &&
		same "$(on_branch pr-1 "select has_table_privilege('app', 'customers', 'select')")" t &&
		same "$(on_branch pr-1 "select count(*) from pg_extension where extname = 'amcheck'")" 0 &&
		on_branch pr-1 "insert into customers values (5000, 'x', 'mine')"
}
check "a branch of it is a whole database" whole

# --- what is left somewhere stops it ---
pg_start "$T/source"
sql "$T/source" "update orders set note = (select email from customers c where c.id = 77) where id = 12"
pg_stop "$T/source"
refused_with() { # refused_with WORD...
	local w
	exits 8 refresh && for w in "$@"; do contains "$err" "$w" || return 1; done
	lacks "$err" person77.
}
check "a value of a masked column that was kept elsewhere is named" refused_with public.customers.email public.orders.note
stays() { [[ $(cowfs branch get golden -o json | json settings.golden.image) == "$image" ]] && alone_with_pr; }
alone_with_pr() { [[ $(cowfs branch list -q | sort | tr '\n' ' ') == "golden golden-images/$image pr-1 " ]]; }
check "the pointer stays, and nothing else is left" stays
failed_report() { cowfs golden show failed -o json >"$T/failed.json" && grep -q public.orders.note "$T/failed.json" && ! grep -q 'person77\.' "$T/failed.json"; }
check "the report of the refusal names the place, not the value" failed_report

printf 'allow = public.orders.note\n' >>"$conf/golden.conf"
check "what the configuration allows passes" refresh
second=$(cowfs branch get golden -o json | json settings.golden.image)
moved() { differ "$second" "$image" && same "$(on_branch pr-1 "select name from customers where id = 5000")" x; }
check "the pointer moved, and an open branch of the older image goes on" moved
sed -i '/^allow/d' "$conf/golden.conf"

pg_start "$T/source"
sql "$T/source" "update orders set note = 'call +49 30 901820123' where id = 12"
pg_stop "$T/source"
check "a phone number in a column that was kept is named" refused_with 'phone number' public.orders.note
sql_source() { pg_start "$T/source" && sql "$T/source" "$1" && pg_stop "$T/source"; }
sql_source "update orders set note = 'fine' where id = 12"
sed -i 's/^MASK customers.card WITH card;/MASK customers.card WITH sql('"'card'"');/' "$conf/rules/all.sql"
check "a rule that changes nothing is found out" refused_with public.customers.card
sed -i "s/^MASK customers.card.*/MASK customers.card WITH null;/" "$conf/rules/all.sql"
check "a third image" refresh
kept() {
	[[ $(cowfs branch list -q | grep -c '^golden-images/') == 2 ]] && ! cowfs branch get "golden-images/$image" && ! cowfs golden show "$image" &&
		same "$(on_branch pr-1 "select count(*) from customers")" 2001
}
check "only the newest two stay; the branch of the first still has all of it" kept
check "the store is sound" cowfs verify
echo "1..$cases"
exit $bad
