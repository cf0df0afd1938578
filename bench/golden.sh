#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# golden.sh: how long does a refresh of the golden image take, and what does it add to the store?
#
#   bench/golden.sh [MiB of the source: 1024]
#
# A source of people and orders (two thirds of the bytes in columns that are masked: name, e-mail, phone, free text),
# streamed with pg_basebackup from a running server on this machine. Twice: the first image, and one with 2 % of the
# rows changed. Phases are as the command tells them; bytes are what the store takes on the disk after each.
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
	ALTER TABLE orders ADD PRIMARY KEY (id); ALTER TABLE orders ADD FOREIGN KEY (person) REFERENCES people;" shop >&2
sql "$T/prod" "VACUUM ANALYZE" shop
sql "$T/prod" CHECKPOINT
size=$(sql "$T/prod" "SELECT pg_size_pretty(pg_database_size('shop'))")
store_new
mount_store
cowfs golden init "$T/golden" >&2
printf '[source]\ntype = basebackup\nurl = host=%s port=5432 user=postgres\n[image]\ndatabases = shop\nkeep = 2\n' "$(pg_sock "$T/prod")" >"$T/golden/golden.conf"
cat >"$T/golden/rules/rules.sql" <<'SQL'
KEEP people (id); MASK people.name WITH name; MASK people.email WITH email; MASK people.phone WITH phone; MASK people.note WITH text;
MASK people.born WITH shift(30, id);
KEEP orders (id, person, cents); MASK orders.comment WITH text;
SQL
taken() { sync; { du -s --block-size=1 "$COWFS_STORE"/{ext,base} 2>/dev/null || true; } | awk '{ n += $1 } END { printf "%d", n / 1048576 }'; }
refresh() { # refresh WHAT
	local before began=$EPOCHREALTIME
	before=$(taken)
	cowfs golden refresh >"$T/out" 2>"$T/log" || fail "$(cat "$T/log")"
	printf '%s: %.1f s in all, %d MiB added to the store (%s of source)\n' "$1" "$(bc <<<"$EPOCHREALTIME - $began")" "$(($(taken) - before))" "$size"
	sed 's/^golden: /  /' "$T/log"
}
refresh "all new"
sql "$T/prod" "UPDATE people SET note = note || 'changed' WHERE id % 50 = 0; UPDATE orders SET comment = 'changed ' || id WHERE id % 50 = 0" shop
sql "$T/prod" CHECKPOINT
refresh "2 % changed"
