#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the daemon under load: clients get errors and never hang; after a new mount nothing that was synced is
# missing, postgres recovers, nothing leaks.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
rounds=${COWFS_LONG:+20}
rounds=${rounds:-3}
import_main
main=$M/main
pg_start "$main"
pg_client "$main" pgbench -i -q -s 2 postgres >"$T/init" 2>&1
sql "$main" "create table acknowledged(n int)"
for ((round = 1; round <= rounds; round++)); do
	pg_client_background "$main" "$T/bench" pgbench -n -c 4 -T 3600 postgres
	for ((k = 0; k < 20; k++)); do
		sql "$main" "insert into acknowledged values ($round * 100 + $k)"
		((k % 5)) || cowfs -q snapshot create main "r$round.$k" >&2
	done
	kill -9 "$(daemon_pid)"
	timeout 20 stat "$main" >/dev/null 2>&1 && fail "the dead mount answers"
	(($? != 124)) || fail "a client of the dead mount hangs"
	wait "$client" || true
	pg_kill "$main" || true
	mount_store
	pg_start "$main"
	same "$(sql "$main" 'select count(*) from acknowledged')" $((round * 20)) "acknowledged commits"
	same "$(pgbench_sums "$main")" t "sums"
	same "$(cowfs -q snapshot list main | wc -l)" $((round * 4)) "acknowledged snapshots"
done

note "a server that does nothing outlives its daemon, is useless, and has the port: start and stop end it"
pg_stop "$main"
cowfs start main >&2
ended() { [[ $(ps -o stat= -p "$1") =~ ^(Z.*)?$ ]]; }
for command in start stop; do
	pid=$(pg_pid "$main")
	kill -9 "$(daemon_pid)"
	mount_store
	kill -0 "$pid" || fail "no idle server was left: nothing was tested"
	cowfs $command main >&2
	ended "$pid" || fail "the server of the dead mount still runs after $command"
done
[[ ! -e $main/postmaster.pid ]] || fail "its postmaster.pid is still there"

pg_start "$main"
amcheck "$main"
pg_stop "$main"
check_stopped "$main"
cowfs gc --now >&2
verify_store
