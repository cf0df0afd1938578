#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a branch takes: nothing when untouched, little when little was changed.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
import_main
main=$M/main
pg_start "$main"
# 33 rows a page, with room: of the first 200 pages five rows each will change.
sql "$main" "create table t with (fillfactor = 80) as select i, repeat('x', 160) pad from generate_series(1, 60000) i; alter table t add primary key (i)"
sql "$main" "vacuum freeze t"
sql "$main" "checkpoint"
pg_stop "$main"
host() { du -s --block-size=1 "$COWFS_STORE/ext" | cut -f1; }
before=$(host)
branch untouched
sync -f "$COWFS_STORE"
at_most $(($(host) - before)) 65536 "host bytes of an untouched branch"
at_most "$(unique_bytes untouched)" 65536 "unique bytes of an untouched branch"
branch migrated
pg_start "$M/migrated" -c autovacuum=off
sql "$M/migrated" "checkpoint"
before=$(unique_bytes migrated)
sql "$M/migrated" "update t set pad = repeat('y', 160) where ctid in (select ctid from t where (ctid::text::point)[0] < 200 and (ctid::text::point)[1] <= 5)"
same "$(sql "$M/migrated" "select count(*) from t where pad like 'y%'")" 1000
sql "$M/migrated" "checkpoint"
cost=$(($(unique_bytes migrated) - before))
pg_stop "$M/migrated"
note "the migration took $cost bytes; the branch, with a start and a stop of its server, has $(unique_bytes migrated)"
at_most "$cost" $((4 << 20)) "unique bytes after a migration of 1,000 rows on 200 pages"
drop migrated untouched
cowfs gc --now >&2
verify_store
