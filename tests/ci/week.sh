#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout 600
# long: a minute and a half
# A week of a team: production changes, `cowfs golden refresh` makes an image of it every day, pull requests come and
# go, close events get lost. At the end nothing is left over: no branch but the image, no private branch, no space.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres jq python3
python3 -c 'import yaml' 2>/dev/null || skip "needs python3-yaml"
export PATH=$(dirname "$COWFS"):$PGBIN:$PATH T
store_new
mount_store
prod=$T/production
pg_init "$prod"
pg_start "$prod"
sql "$prod" "create table people(id serial primary key, name text not null, email text unique not null);
	create table orders(id serial primary key, person int references people, amount numeric);
	insert into people(name, email) select 'Person ' || g, 'person' || g || '@corp.example' from generate_series(1, 2000) g;
	insert into orders(person, amount) select 1 + g % 2000, g from generate_series(1, 20000) g"
ext_bytes() { sync; { du -s --block-size=1 "$COWFS_STORE"/{ext,base} 2>/dev/null || true; } | awk '{ n += $1 } END { printf "%d", n }'; }
has() { cowfs branch get -- "$1" >/dev/null 2>&1; }
lacks_branch() { ! has "$1"; }
rows() { psql -XAtqc "$2" "$(cowfs url "$1")"; }

# --- the image of the day ---
conf=$T/golden
cowfs golden init "$conf" >&2
printf '[source]\ntype = basebackup\nurl = host=%s port=5432 user=postgres\n[image]\ndatabases = postgres\nkeep = 1\n' "$(pg_sock "$prod")" >"$conf/golden.conf"
cat >"$conf/rules/rules.sql" <<'SQL'
KEEP people (id);
MASK people.name WITH name;
MASK people.email WITH email;
KEEP orders (id, person, amount);
SQL
refreshed() { # refreshed DAY [COMMAND]: what cron does each night
	local began=$EPOCHREALTIME
	${2:-cowfs golden refresh} >"$T/refresh" 2>&1 || fail "day $1: $(<"$T/refresh")"
	note "day $1: refreshed in $(bc <<<"$EPOCHREALTIME - $began") s"
	same "$(cowfs golden show -o json | json published)" True "day $1: published"
	contains "$(cowfs golden show -o json)" '"no trace of originals in any byte"'
}
private() { cowfs -o json branch list | grep -c '"private"' || true; }
golden_id() { cowfs -o json branch get golden | json settings.golden.image; }
images() { cowfs branch list -q | grep '^golden-images/' || true; }

# --- a pull request ---
act() { python3 "$TESTS/lib/actions.py" action "$SOURCE/examples/github/$1" "${@:2}"; }
opened() { # opened NUMBER MIGRATION [TTL]: as the workflow does; ends with a database that is migrated
	local start
	start=$(date +%s%N)
	act create-branch "$T/pr-$1.json" "branch_name=preview/pr-$1" parent_branch=golden "ttl=${3:-1h}" >"$T/pr-$1.log" 2>&1 || return 1
	psql -XqAt -v ON_ERROR_STOP=1 -c "$2" "$(json db_url <"$T/pr-$1.json")" >>"$T/pr-$1.log" 2>&1 || return 1
	echo $((($(date +%s%N) - start) / 1000000)) >"$T/pr-$1.ms"
}
seed="insert into people(name, email) values ('Seed', 'seed@test.example')"
green() { # green NUMBER: its tests pass, on its own database
	local url
	url=$(json db_url <"$T/pr-$1.json")
	psql -XqAt -v ON_ERROR_STOP=1 -c "$seed" "$url" >>"$T/pr-$1.log" 2>&1 &&
		[[ $(psql -XAtc "select count(*) from people where email = 'seed@test.example'" "$url") == 1 ]] &&
		[[ $(psql -XAtc "select count(*) from people where email like '%@corp.example'" "$url") == 0 ]]
}
closed() { act delete-branch "$T/closed.json" "branch=preview/pr-$1" >"$T/closed.log" 2>&1 || fail "close $1: $(<"$T/closed.log")"; }

# Monday, Tuesday: images; a pull request that stays open all week.
refreshed 1
cowfs branch set-default golden >&2
serve_start --sweep-interval 1s --sweep-max 50 --suspend-timeout 2s
opened 1 'alter table people add column nick text' || fail "$(<"$T/pr-1.log")"
green 1 || fail "pr 1 is red: $(<"$T/pr-1.log")"
sql "$prod" "insert into people(name, email) values ('New', 'new@corp.example'); update orders set amount = amount + 1 where id % 50 = 0"
refreshed 2
same "$(rows golden 'select count(*) from people')" 2001 "people in the image of day 2"
same "$(rows preview/pr-1 'select count(*) from people')" 2001 "people of pr 1: 2000 and its seed"
tuesday=$(golden_id)
tuesday_image=$(images)

# Wednesday: a column that nobody listed. The refresh is refused, CI goes on with yesterday's image.
sql "$prod" "alter table people add column ssn text; update people set ssn = '078-05-' || id"
exits 4 cowfs golden refresh
contains "$err" people.ssn
lacks "$err" 078-05-
exits 4 cowfs golden check
same "$(golden_id)" "$tuesday" "the image after a refused refresh"
same "$(images)" "$tuesday_image" "images after a refused refresh"
same "$(private)" 0 "private branches after a refused refresh"
opened 2 'alter table people add column nick int' || fail "$(<"$T/pr-2.log")"
green 2 || fail "pr 2 is red on day 3"
same "$(rows preview/pr-2 "select count(*) from information_schema.columns where column_name = 'ssn'")" 0

# Thursday: the rule was merged.
echo "MASK people.ssn WITH hash;" >>"$conf/rules/rules.sql"
exits 0 cowfs golden check
# The workflow of a merged migration does it: the rules are in its checkout.
mkdir -p "$T/checkout" && ln -s "$conf" "$T/checkout/golden" && echo '{}' >"$T/event.json"
by_workflow() { (cd "$T/checkout" && VARS='{"COWFS_STORE": "'$COWFS_STORE'"}' EVENT_NAME=push python3 "$TESTS/lib/actions.py" workflow \
	"$SOURCE/examples/github/workflows/golden-refresh.yml" "$T/event.json" "$T/checkout"); }
refreshed 4 by_workflow
differ "$(golden_id)" "$tuesday" "the image of day 4"
same "$(rows golden "select count(*) from people where ssn like '078-05-%'")" 0 "unmasked numbers"
same "$(rows golden "select count(distinct ssn) from people")" 2001 "masked numbers"
same "$(images | wc -l)" 1 "images that are kept"
same "$(rows preview/pr-2 "select count(*) from people where email = 'seed@test.example'")" 1 "an older branch"
cowfs gc >&2
before=$(ext_bytes)

# Friday: ten at once, with migrations that exclude each other, and the same e-mail in each.
migrations=("add column org int" "add column org text not null default 'x'" "add column org bigint[]" "drop column name"
	"alter column name type varchar(200)" "rename column name to org" "rename to humans" "drop constraint people_email_key"
	"add constraint people_email_key2 unique (email, id)" "alter column id type bigint")
pids=()
for k in {0..9}; do
	# Three of their close events will be lost; one of these expires by itself.
	( ttl=1h
	((k != 7)) || ttl=45s
	opened $((10 + k)) "alter table people ${migrations[k]}" $ttl || exit 1
	case $k in
	3) seed="insert into people(email) values ('seed@test.example')" ;;
	5) seed="insert into people(org, email) values ('Seed', 'seed@test.example')" ;;
	6) psql -XqAtc "create view people as select * from humans" "$(json db_url <"$T/pr-16.json")" ;;
	esac
	green $((10 + k)) || exit 1 ) &
	pids+=($!)
done
for k in {0..9}; do wait "${pids[k]}" || fail "pr $((10 + k)) is red: $(<"$T/pr-$((10 + k)).log")"; done
note "opened to migrated, ten in parallel, ms: $(cat "$T"/pr-1[0-9].ms | sort -n | tr '\n' ' ')"
note "opened to migrated, alone, ms: $(cat "$T/pr-1.ms" "$T/pr-2.ms" | tr '\n' ' ')"
same "$(rows golden "select count(*) from people where email = 'seed@test.example'")" 0 "the image is untouched"

# Weekend: seven are closed and it is heard; 17 expires; 18 and 19 are found by the sweep. 1 and 2 are still open.
for k in {10..16}; do closed $k; done
closed 10
eventually 90 lacks_branch preview/pr-17
has preview/pr-18 && has preview/pr-19 || fail "they should still be there"
printf '[{"number": 1}, {"number": 2}]' >"$T/open.json"
cowfs ci sweep --open-prs "$T/open.json" --grace 0 --dry-run >&2
same "$(cowfs -o json ci sweep --open-prs "$T/open.json" --grace 0 | json deleted)" 2
same "$(cowfs branch list -q | tr '\n' ' ')" "golden $(images) preview/pr-1 preview/pr-2 "
cowfs gc >&2
after=$(ext_bytes)
note "bytes in ext: $before before the ten, $after after"
at_most "$after" $((before + (16 << 20))) "bytes after the ten are gone"

# The last two close: the image is all that is left, and of older images no byte.
closed 1
closed 2
same "$(cowfs branch list -q | tr '\n' ' ')" "golden $(images) " "what is left"
same "$(private)" 0 "private branches at the end"
cowfs suspend golden >&2 || true
serve_stop
cowfs stop golden >&2 || true
cowfs gc >&2
end=$(ext_bytes)
image=$(du -s --block-size=1 "$M/$(images)" | cut -f1)
note "bytes of the store at the end: $end; of the image alone: $image"
at_most "$end" $((image + (40 << 20))) "bytes at the end: the image, the WAL of its pointer's server and no more"
verify_store
