#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A branch whose server was killed is reset: the kernel's old dirty pages never show up in the new contents.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
import_main
main=$M/main
pg_start "$main"
sql "$main" "create table t as select i, repeat('m', 1000) pad from generate_series(1, 5000) i; alter table t add primary key (i)"
pg_stop "$main"
branch child
for ((round = 1; round <= 5; round++)); do
	pg_start "$M/child"
	same "$(sql "$M/child" "select count(*) || ' ' || count(*) filter (where pad like 'm%') from t")" "5000 5000" "round $round"
	# Many dirty pages in the kernel at the moment of the kill, none of them synced.
	sql "$M/child" "set synchronous_commit = off; update t set pad = repeat('$round', 1500); insert into t select i, 'new' from generate_series(5001, 20000) i"
	before=$(stat -c %i "$M/child/PG_VERSION")
	pg_kill "$M/child"
	eventually 20 cowfs -q branch reset child --yes
	differ "$(stat -c %i "$M/child/PG_VERSION")" "$before" "inode after a reset"
	sync -f "$M/child/PG_VERSION"
done
pg_start "$M/child"
same "$(sql "$M/child" "select count(*) || ' ' || count(*) filter (where pad like 'm%') from t")" "5000 5000"
amcheck "$M/child"
pg_stop "$M/child"
check_stopped "$M/child"
check_stopped "$main"
verify_store
