#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout 600
# A refresh from each kind of source; a column that nobody listed stops it; nothing unmasked outlives it.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres pgbackrest
pg_init "$T/prod" -k
push="pgbackrest --stanza=main --repo1-path=$T/repo --pg1-path=$T/prod --lock-path=$T/lock --log-level-file=off --log-level-console=warn"
back="$push --pg1-socket-path=$(pg_sock "$T/prod")"
install -d -o postgres "$T/ts" "$T/repo" "$T/lock" "$T/dumps"
start_prod() { pg_start "$T/prod" -c archive_mode=on -c "archive_command=$push archive-push %p"; }
start_prod
sock=$(pg_sock "$T/prod")
sql "$T/prod" "CREATE DATABASE shop"
sql "$T/prod" "CREATE TABLESPACE far LOCATION '$T/ts'"
sql "$T/prod" "CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, name text);
	INSERT INTO users SELECT i, 'person' || i || '@real-company.com', 'Person ' || i FROM generate_series(1, 500) i;
	CREATE TABLE notes (user_id int REFERENCES users, body text) TABLESPACE far;
	INSERT INTO notes SELECT id, 'call person ' || id || ' at home please' FROM users;" shop >&2

store_new
mount_store
cowfs golden init "$T/golden" >&2
grep -q "config = $T/golden/golden.conf" "$COWFS_STORE/cowfs.conf" || fail "init did not tell the store"
exits 5 cowfs golden init "$T/golden"
configure() { printf '[source]\n%s\n[image]\ndatabases = shop\nkeep = 1\n[masking]\njobs = 2\n' "$1" >"$T/golden/golden.conf"; }
cat >"$T/golden/rules/rules.sql" <<'SQL'
KEEP users (id);
MASK users.email WITH email;
SECURITY LABEL FOR anon ON COLUMN public.users.name IS 'MASKED WITH FUNCTION anon.dummy_name()';
KEEP notes (user_id); MASK notes.body WITH text;
SQL
image() { cowfs -o json branch get golden | json settings.golden.image; }
private() { cowfs -q branch list | grep -c -- -build/ || true; }
# What a branch of the image shows, and that nothing else is left.
check_image() {
	same "$(private)" 0 "private branches after a refresh"
	branch "$1" --parent golden
	cowfs start "$1" >&2
	local got
	got=$(cowfs psql "$1" -d shop -- -XAtc "SELECT count(*), count(DISTINCT email), bool_and(email LIKE 'user\\_%@test.example'), bool_or(name ~ 'Person') FROM users;
		SELECT count(*) FROM notes JOIN users ON users.id = user_id WHERE body !~ 'person'")
	same "$got" $'500|500|t|f\n500' "the image of $1"
	cowfs stop "$1" >&2
	drop "$1"
}

# 1. A running server, with a tablespace. What is there and undecided is found without a refresh too.
configure "type = basebackup
url = host=$sock port=5432 user=postgres"
cowfs golden check >&2
cowfs golden refresh >&2
check_image from-basebackup
first=$(image)

# 2. A new column: the list names it, the image stays, and CI goes on.
sql "$T/prod" "ALTER TABLE users ADD COLUMN private_mail text; UPDATE users SET private_mail = email" shop
exits 4 cowfs golden refresh -q
contains "$err" 'public.users.private_mail: nobody decided about it; perhaps MASK "public"."users"."private_mail" WITH email;'
lacks "$err" real-company
exits 4 cowfs golden check
contains "$out" "200 of 200 values look like an e-mail address"
lacks "$out" real-company
same "$(image)" "$first" "the image after a refusal"
same "$(private)" 0 "private branches after a refusal"
branch ci --parent golden
exits 0 cowfs golden check --branch ci
drop ci
sql "$T/prod" "ALTER TABLE users DROP COLUMN private_mail" shop

# 3. A preview shows fakes, and originals only on a terminal.
exits 0 cowfs golden preview users -n 2
contains "$out" "@test.example"
contains "$out" "(hidden)"
lacks "$out" real-company
exits 0 script -qec "'$COWFS' golden preview users -n 2" /dev/null
contains "$out" real-company

# 4. While it runs, nobody gets at the unmasked import; killed, it leaves nothing; twice at once it does not run.
sed -i 's/MASK notes.body WITH text;/MASK notes.body WITH sql($$(SELECT body FROM pg_sleep(100))$$);/' "$T/golden/rules/rules.sql"
"$COWFS" golden refresh -q >"$T/refresh" 2>&1 &
refresh=$!
on_exit "kill $refresh"
eventually 60 cowfs branch get golden-build/masked
exits 5 cowfs golden refresh
for try in "url golden-build/import" "start golden-build/import" "psql golden-build/import" "branch create x --parent golden-build/import" \
	"snapshot create golden-build/import" "branch promote golden-build/import" "branch rename golden-build/import x" "branch set-default golden-build/import" \
	"branch reset golden --parent golden-build/import --yes" "branch restore golden golden-build/import@x --yes"; do
	# shellcheck disable=SC2086
	exits 4 cowfs $try
	contains "$err" "private to the making of an image"
done
contains "$(cowfs branch list)" "[private]"
worker=$(pgrep -P "$refresh")
kill -9 "$worker"
wait "$refresh" && fail "a killed refresh succeeded"
contains "$(cat "$T/refresh")" "ended by signal 9"
same "$(private)" 0 "private branches after a kill of the worker"
"$COWFS" golden refresh -q >"$T/refresh" 2>&1 &
refresh=$!
eventually 60 cowfs branch get golden-build/masked
worker=$(pgrep -P "$refresh")
kill -9 "$refresh" "$worker"
wait "$refresh" 2>/dev/null || true
differ "$(private)" 0 "private branches after a kill of both"
sed -i 's/MASK notes.body WITH sql.*;$/MASK notes.body WITH text;/' "$T/golden/rules/rules.sql"
same "$(image)" "$first" "the image after kills"

# 5. pgBackRest: the newest backup, with WAL from its archive.
sql "$T/prod" "CHECKPOINT"
as_pg $back stanza-create >&2
as_pg $back backup --repo1-retention-full=1 --start-fast >&2 || fail "pgbackrest backup"
configure "type = pgbackrest
stanza = main
repo = $T/repo"
if sql "$T/prod" "SELECT 1 FROM pg_tablespace WHERE spcname = 'far'" | grep -q 1; then
	sql "$T/prod" "ALTER TABLE notes SET TABLESPACE pg_default" shop
	sql "$T/prod" "DROP TABLESPACE far"
	as_pg $back backup --repo1-retention-full=2 --type=full --start-fast >&2
fi
cowfs golden refresh >"$T/refresh" 2>&1 || fail "$(cat "$T/refresh")"
contains "$(cat "$T/refresh")" "deleted 2 branches that an earlier refresh had left"
check_image from-pgbackrest

# 6. Dumps: one file, and a directory.
as_pg "$PGBIN/pg_dump" -h "$sock" -p 5432 -U postgres -Fc -f "$T/dumps/shop.dump" shop
as_pg "$PGBIN/pg_dump" -h "$sock" -p 5432 -U postgres -Fd -j 2 -f "$T/dumps/shop.dir" shop
configure "type = dump
dump = $T/dumps/shop.dump"
cowfs golden refresh >&2
check_image from-dump
configure "type = dump
dump = $T/dumps/shop.dir"
cowfs golden refresh -q >&2
check_image from-directory

# What cannot be restored is said without the rows that it is about.
as_pg "$PGBIN/pg_dump" -h "$sock" -p 5432 -U postgres -Fd -Z0 -f "$T/dumps/bad.dir" shop
sed -i 's/^7\t/seventh person\t/' "$T"/dumps/bad.dir/*.dat
sed -i 's/shop.dir/bad.dir/' "$T/golden/golden.conf"
exits 8 cowfs golden refresh
contains "$err" 'COPY failed for table'
contains "$err" 'invalid input syntax for type integer...'
lacks "$err" 'seventh'
lacks "$err" real-company

# 7. A stopped data directory, which is only read.
pg_stop "$T/prod"
configure "type = pgdata
pgdata = $T/prod"
cowfs golden refresh >&2
check_image from-pgdata
contains "$(cowfs status)" "Golden image"
at_most "$(cowfs -o json status | json images.0.lag_seconds)" 300 "the lag of the image"
start_prod
same "$(sql "$T/prod" "SELECT count(*) FROM users WHERE email LIKE '%@real-company.com'" shop)" 500 "the source itself"
verify_store
