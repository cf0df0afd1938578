#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# golden.sh: how long does a refresh of the golden image take, and what does it add to the store?
#
#   bench/golden.sh [MiB of the source: 1024]
#
# A source of people and orders (two thirds of the bytes in columns that are masked: name, e-mail, phone, free text),
# streamed with pg_basebackup from a running server on this machine. Five times: the first image; nothing changed; one
# with 2 % of the bytes changed, all in one table (shipments); the same with nothing taken over (rewrite_after = 0); one
# with 2 % of the rows of every table changed. Phases are as the command tells them and its report keeps them; bytes are
# what the store takes on the disk after each, when what nobody needs any more is gone (keep = 1).
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lib/lib.sh"
requires fuse root postgres
mib=${1:-1024}
people=$((mib * 1100)) # about 500 bytes each, with their two orders
pg_init "$T/prod"
pg_start "$T/prod" -c shared_buffers=256MB -c max_wal_size=4GB
sql "$T/prod" "CREATE DATABASE shop"
sql "$T/prod" "CREATE TABLE people (id int, name text, email text, phone text, note text, born date);
	INSERT INTO people SELECT i, 'Person Number' || i, 'person' || i || '@real-company.com', '+49 170 ' || (1000000 + i), repeat('word' || i || ' ', 25), date '1970-01-01' + i % 18000
	FROM generate_series(1, $people) i;
	ALTER TABLE people ADD PRIMARY KEY (id); CREATE UNIQUE INDEX ON people (email);
	CREATE TABLE orders (id bigint, person int, cents int, comment text);
	INSERT INTO orders SELECT i, 1 + i % $people, i % 10000, 'please ring twice ' || i FROM generate_series(1, $people * 2) i;
	CREATE TABLE shipments (id int PRIMARY KEY, note text);
	INSERT INTO shipments SELECT i, repeat('parcel' || i || ' ', 25) FROM generate_series(1, $people / 30) i;
	ALTER TABLE orders ADD PRIMARY KEY (id); ALTER TABLE orders ADD FOREIGN KEY (person) REFERENCES people;" shop >&2
sql "$T/prod" "VACUUM ANALYZE" shop
sql "$T/prod" CHECKPOINT
size=$(sql "$T/prod" "SELECT pg_size_pretty(pg_database_size('shop'))")
store_new
mount_store
cowfs golden init "$T/golden" >&2
conf() { printf '[source]\ntype = basebackup\nurl = host=%s port=5432 user=postgres\n[image]\ndatabases = shop\nkeep = 1\n[publish]\nrewrite_after = %s\n' "$(pg_sock "$T/prod")" "$1" >"$T/golden/golden.conf"; }
conf 7
cat >"$T/golden/rules/rules.sql" <<'SQL'
KEEP people (id); MASK people.name WITH name; MASK people.email WITH email; MASK people.phone WITH phone; MASK people.note WITH text;
MASK people.born WITH shift(30, id);
KEEP orders (id, person, cents); MASK orders.comment WITH text;
KEEP shipments (id); MASK shipments.note WITH text;
SQL
taken() { sync; { du -s --block-size=1 "$COWFS_STORE"/{ext,base} 2>/dev/null || true; } | awk '{ n += $1 } END { printf "%d", n / 1048576 }'; }
refresh() { # refresh WHAT
	local before began=$EPOCHREALTIME took
	before=$(taken)
	cowfs golden refresh >"$T/out" 2>"$T/log" || fail "$(cat "$T/log")"
	took=$(bc <<<"$EPOCHREALTIME - $began")
	cowfs gc >/dev/null 2>&1
	printf '%s: %.1f s in all, %d MiB more in the store (%s of source)\n' "$1" "$took" "$(($(taken) - before))" "$size"
	grep -E 'done in|masked|tables are|whole' "$T/log" | sed 's/^golden: /  /'
	cowfs golden show -o json | python3 -c 'import json, sys
r = json.load(sys.stdin)
print("  ms:", ", ".join("%s %d" % p for p in r["publish_ms"].items()), "; of prove_stopped the scan", r["scan"]["ms"])'
}
change() {
	sql "$T/prod" "$1" shop
	sql "$T/prod" CHECKPOINT
}
refresh "all new"
refresh "nothing changed"
change "UPDATE shipments SET note = note || 'changed'"
refresh "2 % of the bytes changed, in one table"
conf 0
refresh "the same, nothing taken over"
conf 7
change "UPDATE people SET note = note || 'changed' WHERE id % 50 = 0; UPDATE orders SET comment = 'changed ' || id WHERE id % 50 = 0"
refresh "2 % of the rows of every table changed"
