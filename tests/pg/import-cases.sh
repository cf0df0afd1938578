#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What can be imported, what cannot, and that the original is never touched.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
store_new
mount_store
sum() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum; find . -printf '%p %m %u %s %l\n' | sort | sha256sum); }

note "a running server is refused, and nothing is left of the attempt"
src=$T/source
pg_init "$src"
pg_start "$src"
install -d -o postgres -m 700 "$T/space"
sql "$src" "create tablespace far location '$T/space'"
sql "$src" "create table near(a int); insert into near select generate_series(1, 1000); create table away(a int) tablespace far; insert into away select generate_series(1, 500)"
refused cowfs import "$src" main
contains "$err" "$(pg_pid "$src")"
lacks "$(cowfs -o json branch list)" '"main"'

note "a tablespace becomes part of the branch, and stays apart from the original"
pg_stop "$src"
before=$(sum "$src"; sum "$T/space")
cowfs import "$src" main >&2
same "$(sum "$src"; sum "$T/space")" "$before" "the original"
mv "$T/space" "$T/gone" && mv "$src" "$T/gone-too"
pg_start "$M/main"
same "$(sql "$M/main" 'select (select count(*) from near) + (select count(*) from away)')" 1500
sql "$M/main" "insert into away values (1)"
branch b
pg_start "$M/b"
sql "$M/b" "delete from away"
same "$(sql "$M/main" 'select count(*) from away')" 501
for l in "$M"/main/pg_tblspc/* "$M"/b/pg_tblspc/*; do
	lacks "$(readlink -f "$l")" "$T/gone"
	lacks "$(readlink -f "$l")" "$T/space"
done
contains "$(readlink -f "$M"/b/pg_tblspc/*)" "$M/b"
pg_stop "$M/b"
pg_stop "$M/main"
mv "$T/gone" "$T/space" && mv "$T/gone-too" "$src"
same "$(sum "$src"; sum "$T/space")" "$before" "the original, later"

note "a symlinked pg_wal is brought in"
install -d -o postgres -m 700 "$T/wal" "$T/backup"
pg_init "$T/walsrc" -X "$T/wal"
cowfs import "$T/walsrc" wal >&2
[[ -d $M/wal/pg_wal ]] || fail "no pg_wal"
contains "$(readlink -f "$M/wal/pg_wal")" "$M/wal"
rm -rf "$T/wal" "$T/walsrc"
pg_start "$M/wal"
same "$(sql "$M/wal" 'select 1')" 1
pg_stop "$M/wal"

note "--move takes the files over"
pg_init "$T/moved"
pg_start "$T/moved"
sql "$T/moved" "create table t as select generate_series(1, 20000) a"
pg_stop "$T/moved"
cowfs import "$T/moved" moved --move >&2
[[ ! -e $T/moved/PG_VERSION ]] || fail "the original still has its files"
pg_start "$M/moved"
same "$(sql "$M/moved" 'select count(*) from t')" 20000
amcheck "$M/moved"
pg_stop "$M/moved"

note "a base backup that never ran"
pg_init "$T/primary"
echo "host replication all 127.0.0.1/32 trust" >>"$T/primary/pg_hba.conf"
pg_start "$T/primary" -c wal_level=replica -c max_wal_senders=4
sql "$T/primary" "create table t as select generate_series(1, 3000) a"
pg_client "$T/primary" pg_basebackup -D "$T/backup" -X stream -c fast
sql "$T/primary" "insert into t select 1 from generate_series(1, 100)"
cowfs import "$T/backup" backup >&2
pg_start "$M/backup"
same "$(sql "$M/backup" 'select count(*) from t')" 3000
amcheck "$M/backup"
pg_stop "$M/backup"
pg_stop "$T/primary"

note "what is no data directory"
mkdir "$T/empty" && mkdir "$T/nopg" && echo hello >"$T/nopg/file"
for bad in "$T/empty" "$T/nopg" "$T/none" "$T/nopg/file"; do refused cowfs import "$bad" bad; done
echo 9.4 >"$T/nopg/PG_VERSION"
refused cowfs import "$T/nopg" bad
refused cowfs import "$src" main # the name is taken
refused cowfs import "$src" '../x'
lacks "$(cowfs -o json branch list)" '"bad"'
verify_store
