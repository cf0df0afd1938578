#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every kind of thing a database can hold is decided about, masked, and still right: keys, uniqueness, partitions,
# inheritance, generated and identity columns, domains, arrays, enums, jsonb, triggers, large objects.
. "$(dirname "$0")/../lib/lib.sh"
requires root postgres
run=$COWFS_BUILD/tests/golden/mask_run
pg_init "$T/db"
pg_start "$T/db"
sock=$(pg_sock "$T/db")
as_pg "$PGBIN/createdb" -h "$sock" -p 5432 -U postgres shop

as_pg "$PGBIN/psql" -h "$sock" -p 5432 -U postgres -d shop -Xq -v ON_ERROR_STOP=1 <<'SQL'
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%');
CREATE DOMAIN code AS varchar(12);
CREATE TYPE place AS (street text, number int);
CREATE SEQUENCE audit_seq;
CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email mail UNIQUE NOT NULL,
	phone varchar(24) UNIQUE, born date, mood mood, tags text[], born_year int GENERATED ALWAYS AS (extract(year FROM born)) STORED,
	at place, card char(19), iban text, note text, payload jsonb, ip inet, secret uuid, avatar bytea, salary numeric(10, 2), code code UNIQUE);
INSERT INTO users (name, email, phone, born, mood, tags, at, card, iban, note, payload, ip, secret, avatar, salary, code)
SELECT 'Person ' || i, 'person' || i || '@real-company.com', '+49 170 ' || lpad((i * 7919 % 10000000)::text, 7, '0'), date '1970-01-01' + i,
	CASE WHEN i % 2 = 0 THEN 'glad' ELSE 'sad' END::mood, ARRAY['secret' || i, NULL, 'x'], ROW('Main', i)::place, '5500 0000 0000 0004',
	'DE89 3704 0044 0532 0130 00', 'Dear person ' || i || ', please call', jsonb_build_object('mail', 'person' || i || '@real-company.com', 'n', i, 'deep', jsonb_build_array('Person ' || i, true, NULL)),
	'192.168.1.1', md5(i::text)::uuid, decode(md5(i::text), 'hex'), 1000 + i, 'AB-' || lpad(i::text, 4, '0')
FROM generate_series(1, 2000) i;
INSERT INTO users (name, email) VALUES ('', 'nobody@real-company.com');
CREATE TABLE logins (login mail REFERENCES users (email), at timestamptz, user_id bigint, n smallint);
INSERT INTO logins SELECT email, timestamptz '2020-01-01 00:00+00' + id * interval '1 hour', id, 1 FROM users;
CREATE TABLE accounts (id bigint PRIMARY KEY, owner int REFERENCES users);
INSERT INTO accounts SELECT id * 10, id FROM users WHERE id % 3 = 0;
CREATE TABLE transfers (account bigint REFERENCES accounts, cents int);
INSERT INTO transfers SELECT id, 1 FROM accounts;
-- Partitioned by a column that stays, and by one that is masked.
CREATE TABLE events (day date NOT NULL, who text, PRIMARY KEY (day, who)) PARTITION BY RANGE (day);
CREATE TABLE events_a PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE events_b PARTITION OF events FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
INSERT INTO events SELECT date '2020-06-01' + i, 'Person ' || i FROM generate_series(1, 400) i;
CREATE TABLE spread (name text) PARTITION BY HASH (name);
CREATE TABLE spread_0 PARTITION OF spread FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE spread_1 PARTITION OF spread FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE spread_2 PARTITION OF spread FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO spread SELECT 'Person ' || i FROM generate_series(1, 300) i;
CREATE TABLE animals (name text, legs int);
CREATE TABLE birds (song text) INHERITS (animals);
INSERT INTO animals VALUES ('Person 1', 4);
INSERT INTO birds VALUES ('Person 2', 2, 'tweet');
CREATE TABLE audit (id bigint, what text);
INSERT INTO audit SELECT 1, 'Person 1';
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.audit VALUES (2, NEW.name); RETURN NEW; END';
CREATE TRIGGER plain AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER always AFTER INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION tell();
ALTER TABLE users ENABLE ALWAYS TRIGGER always;
CREATE VIEW seen AS SELECT name FROM users;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM users;
SELECT count(lo_from_bytea(0, 'Person 1 in a large object')) = 1;
SQL

mkdir -p "$T/golden/rules"
printf '[source]\ntype = basebackup\nurl = host=none\n[image]\ndatabases = shop\n[masking]\njobs = 3\nsalt = %s\n' "$T/salt" >"$T/golden/golden.conf"
decide() { "$run" decide "$T/golden" "$sock" 5432 postgres; }
count_problems() { decide | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'; }

# Nothing is decided: every column is named, with what to write for it; no value is.
decide >"$T/all"
for want in 'MASK \"public\".\"users\".\"email\" WITH email;' '200 of 200 values look like an e-mail address' \
	'MASK \"public\".\"users\".\"iban\" WITH iban;' 'MASK \"public\".\"users\".\"card\" WITH card;' \
	'MASK \"public\".\"users\".\"born\" WITH shift(30);' 'KEEP \"public\".\"transfers\" (\"cents\");' 'large objects'; do
	grep -qF -- "$want" "$T/all" || fail "no '$want' in: $(grep suggestion "$T/all")"
done
lacks "$(cat "$T/all")" real-company
lacks "$(cat "$T/all")" born_year # generated: it follows

cat >"$T/golden/rules/a.sql" <<'SQL'
MASK users.id WITH hash; MASK users.name WITH name; MASK users.email WITH email; MASK users.phone WITH phone;
MASK users.born WITH shift(30, id); MASK users.tags WITH text; MASK users.card WITH card; MASK users.iban WITH iban;
MASK users.note WITH text; MASK users.payload WITH json; MASK users.ip WITH ip; MASK users.secret WITH hash;
MASK users.avatar WITH hash; MASK users.salary WITH noise(0.2); MASK users.code WITH shape; MASK users.at WITH null;
KEEP users (mood);
MASK logins.login WITH email; MASK logins.at WITH shift(10); MASK logins.user_id WITH hash; KEEP logins (n);
KEEP accounts (id); MASK accounts.owner WITH hash;
KEEP transfers (account, cents);
KEEP events (day); MASK events.who WITH hash;
MASK spread.name WITH name;
MASK animals.name WITH first_name; KEEP animals (legs); MASK birds.song WITH text;
EMPTY audit;
LARGE OBJECTS EMPTY;
SQL
same "$(count_problems)" 0 "problems of a full list"

# What does not fit is refused before anything is touched.
refuse_rule() { # refuse_rule STATEMENT WORDS [SED]
	cp "$T/golden/rules/a.sql" "$T/saved"
	[[ -z ${3:-} ]] || sed -i "$3" "$T/golden/rules/a.sql"
	echo "$1" >>"$T/golden/rules/a.sql"
	exits 1 "$run" mask "$T/golden" "$sock" 5432 postgres
	contains "$err" "$2"
	mv "$T/saved" "$T/golden/rules/a.sql"
}
refuse_rule 'KEEP accounts (owner);' 'both need the same rule' 's/MASK accounts.owner WITH hash;//'
refuse_rule 'EMPTY accounts;' 'which is EMPTY' 's/^KEEP accounts.*$//'
refuse_rule 'MASK users.mood WITH hash;' 'hash is not for the type' 's/^KEEP users (mood);//'
refuse_rule "MASK users.code WITH value('x');" 'value is the same for all' 's/MASK users.code WITH shape;//'
refuse_rule 'MASK users.name WITH null;' 'the column is NOT NULL' 's/MASK users.name WITH name;//'
refuse_rule 'MASK users.name WITH nam;' 'did you mean name' 's/MASK users.name WITH name;//'
refuse_rule 'MASK users.born_year WITH shift(1);' 'is generated'
refuse_rule 'MASK users.name WITH email;' 'is decided already at rules/a.sql:1'
refuse_rule '' 'nobody decided about it' 's/^KEEP users (mood);//'
sql "$T/db" "SELECT count(*) FROM users WHERE name LIKE 'Person%'" shop | grep -qx 2000 || fail "a refusal changed something"

facts() { # what masking must not change
	sql "$T/db" "SELECT count(*), count(DISTINCT id), count(DISTINCT email), count(DISTINCT phone), count(DISTINCT code), count(phone) FROM users
		UNION ALL SELECT count(*), count(DISTINCT u.id), 0, 0, 0, 0 FROM users u JOIN logins l ON l.login = u.email AND l.user_id = u.id
		UNION ALL SELECT count(*), 0, 0, 0, 0, 0 FROM users u JOIN accounts a ON a.owner = u.id JOIN transfers t ON t.account = a.id
		UNION ALL SELECT count(*), count(DISTINCT name), 0, 0, 0, 0 FROM users u JOIN spread USING (name)
		UNION ALL SELECT count(*), count(DISTINCT day), 0, 0, 0, 0 FROM events
		UNION ALL SELECT count(*), 0, 0, 0, 0, 0 FROM users WHERE name = ''" shop
}
before=$(facts)
"$run" mask "$T/golden" "$sock" 5432 postgres >"$T/report"
same "$(facts | sed '4d')" "$(sed '4d' <<<"$before")" "what masking must not change"
# Names are few, so more rows may join than before; every one of before still does.
at_most 300 "$(facts | sed -n '4s/|.*//p')" "rows of spread that still have their user"

# Nothing of the original is in any row of any table.
for table in users logins accounts transfers events spread animals audit; do
	found=$(sql "$T/db" "SELECT count(*) FROM $table t WHERE t::text ~* 'person|real-company|192\\.168|Main|5500 0000|3704 0044'" shop)
	same "$found" 0 "rows of $table with an original"
done
same "$(sql "$T/db" "SELECT count(*) FROM pg_largeobject_metadata" shop)" 0
same "$(sql "$T/db" "SELECT count(*) FROM audit" shop)" 0 "a trigger fired"
check() { same "$(sql "$T/db" "SELECT bool_and($2) FROM $1" shop)" t "$2 in $1"; }
check users "email ~ '^user_[0-9]{18}@test\\.example$'"
check "users WHERE phone IS NOT NULL" "phone ~ '^\\+999 \\+[0-9]{2} [0-9]{3} [0-9]{7}$'"
check "users WHERE card IS NOT NULL" "card ~ '^4000 00[0-9]{2} [0-9]{4} [0-9]{4}$'"
check "users WHERE iban IS NOT NULL" "iban ~ '^DE[0-9]{2} 0000 0000 [0-9]{4} [0-9]{4} [0-9]{2}$'"
check "users WHERE iban IS NOT NULL" "(regexp_replace(substr(iban, 5), ' ', '', 'g') || '1314' || substr(iban, 3, 2))::numeric % 97 = 1"
check users "born_year IS NOT DISTINCT FROM extract(year FROM born)"
check "users WHERE code IS NOT NULL" "code ~ '^[A-Z]{2}-[0-9]{4}$'"
check "users WHERE salary IS NOT NULL" "salary BETWEEN 800 AND 3700"
check "users WHERE tags IS NOT NULL" "cardinality(tags) = 3 AND tags[2] IS NULL AND length(tags[3]) = 1"
check "users WHERE payload IS NOT NULL" "payload ?& ARRAY['mail', 'n', 'deep'] AND payload->>'mail' LIKE '%@test.example' AND payload->'deep'->1 = 'true'"
# No run of digits that could be a card.
check "users WHERE avatar IS NOT NULL" "encode(avatar, 'hex') ~ '^[0-9a-f]{32}$' AND encode(avatar, 'hex') !~ '[0-9]{8}'"
check users "at IS NULL"
check "users WHERE ip IS NOT NULL" "ip << '10.0.0.0/8'"
same "$(sql "$T/db" "SELECT tgenabled FROM pg_trigger WHERE tgname = 'always'" shop)" A
same "$(sql "$T/db" "SELECT count(*) FROM pg_namespace WHERE nspname = 'cowfs_mask'" shop)" 0 "the functions of masking"
# Luhn, by somebody else.
sql "$T/db" "SELECT card FROM users WHERE card IS NOT NULL LIMIT 50" shop | python3 -c '
import sys
for line in sys.stdin:
    d = [int(c) for c in line if c.isdigit()]
    s = sum(d[-1::-2]) + sum(sum(divmod(2 * x, 10)) for x in d[-2::-2])
    assert s % 10 == 0, line'
amcheck "$T/db" shop

# The same salt, the same fakes; the salt is nobody else's business.
same "$(stat -c %a "$T/salt")" 600
chmod 644 "$T/salt"
exits 1 "$run" mask "$T/golden" "$sock" 5432 postgres
contains "$err" "can be read by others"

# What the server complains of is told without the value.
chmod 600 "$T/salt"
sed -i "s/MASK users.name WITH name;/MASK users.name WITH sql('(name::int)::text');/" "$T/golden/rules/a.sql"
exits 1 "$run" mask "$T/golden" "$sock" 5432 postgres
same "$err" "database shop: mask public.users: invalid input syntax for type integer: ..."
