#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cowfs start, url, psql, stop: the way a user meets it.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
import_main
on_exit "cowfs stop main -m immediate; cowfs stop b -m immediate"
branch b
cowfs start main >&2
cowfs start b -c work_mem=7MB >&2
cowfs psql main -- -c "create table t(a int)" >&2
same "$(cowfs psql b -- -XAtc "select to_regclass('t') is null")" t
same "$(cowfs psql b -- -XAtc 'show work_mem')" 7MB
for name in fsync full_page_writes; do
	same "$(cowfs psql b -- -XAtc "show $name")" on "$name"
done
same "$(cowfs psql b -- -XAtc 'show archive_mode')" off
url=$(cowfs -o json url b | json connection_uri)
contains "$url" "postgresql://"
same "$("$PGBIN/psql" "$url" -XAtc 'select 1')" 1 "through $url"
differ "$(cowfs -o json url main | json connection_uri)" "$url"
same "$(ps -o user= -p "$(pg_pid "$M/b")")" postgres "the server's user"

# Starting again changes nothing; the port stays over a restart; so it does over a kill.
cowfs start b >&2
cowfs stop b >&2
exits 5 cowfs branch delete main --yes
cowfs start b >&2
same "$(cowfs -o json url b | json connection_uri)" "$url"
pg_kill "$M/b"
cowfs start b >&2
same "$("$PGBIN/psql" "$url" -XAtc 'select 1')" 1
for mode in smart fast immediate; do
	cowfs stop b -m $mode >&2
	cowfs start b >&2
done
cowfs stop b >&2
cowfs stop main >&2
unmount_store
verify_store
