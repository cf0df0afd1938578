#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A branch of a branch, fifty deep: each sees exactly its own history.
# timeout 900
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
depth=50
step=${COWFS_LONG:+1} step=${step:-7}
import_main
last=main
pg_start "$M/main"
sql "$M/main" "create table history(level int primary key, pad text); insert into history values (0, repeat('x', 5000))"
pg_stop "$M/main"
for ((k = 1; k <= depth; k++)); do
	branch "level$k" --parent "$last"
	pg_start "$M/level$k"
	same "$(sql "$M/level$k" "insert into history values ($k, repeat('$k', 3000)); select count(*) || ' ' || max(level) from history")" \
		"$((k + 1)) $k" "level $k"
	pg_stop "$M/level$k" fast
	last=level$k
done
for ((k = 0; k <= depth; k += step)); do
	dir=$M/level$k
	((k > 0)) || dir=$M/main
	check_stopped "$dir"
	pg_start "$dir"
	same "$(sql "$dir" 'select count(*) || chr(32) || max(level) from history')" "$((k + 1)) $k" "level $k, later"
	amcheck "$dir"
	pg_stop "$dir"
done
# The middle goes, the rest stays whole.
drop level10 level25 main
cowfs gc --now >&2
verify_store
pg_start "$M/level$depth"
same "$(sql "$M/level$depth" 'select count(*) from history')" $((depth + 1))
amcheck "$M/level$depth"
pg_stop "$M/level$depth"
