#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Many snapshots of one running branch (100; with --long 1,000): age costs nothing, each is whole.
# timeout 1800
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
count=${COWFS_LONG:+1000}
count=${count:-100}
import_main
main=$M/main
pg_start "$main" -c checkpoint_timeout=30s
sql "$main" "create table log(n int primary key, at timestamptz default now(), pad text default repeat('p', 500))"
for ((k = 1; k <= count; k++)); do
	sql "$main" "insert into log(n) values ($k); update log set pad = 'u' || $k where n % 10 = $k % 10"
	cowfs -q snapshot create main "s$k" >&2
done
same "$(cowfs -o json snapshot list main | json snapshots | python3 -c 'import json,sys; print(len(json.load(sys.stdin)))')" "$count"
for ((k = 1; k <= count; k += count / 10)); do
	branch "at$k" --parent "main@s$k"
	pg_start "$M/at$k"
	same "$(sql "$M/at$k" "select count(*) || ' ' || max(n) || ' ' || (select pad from log where n = $k) from log")" "$k $k u$k" "snapshot $k"
	amcheck "$M/at$k"
	pg_stop "$M/at$k"
	check_stopped "$M/at$k"
done
# Every second one goes; what they alone saw comes back, the others are whole.
before=$(du -s --block-size=1 "$COWFS_STORE/ext" | cut -f1)
for ((k = 2; k <= count; k += 2)); do echo "main@s$k"; done | xargs -n 50 "$COWFS" -q snapshot delete --yes >&2
cowfs gc --now >&2
after=$(du -s --block-size=1 "$COWFS_STORE/ext" | cut -f1)
((after < before)) || fail "deleting $((count / 2)) snapshots freed nothing: $before, $after"
verify_store
branch again --parent "main@s$((count - 1))"
pg_start "$M/again"
same "$(sql "$M/again" 'select count(*) from log')" $((count - 1))
pg_stop "$M/again"
pg_stop "$main"
