#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A client wakes a branch and finds it as it was left; without clients it falls asleep; the URL never changes.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
branch b
cowfs start b >&2
before=$(cowfs url b)
cowfs stop b >&2
export shared
shared=$(free_port)
serve_start --suspend-timeout 1s --port "$shared"
same "$(cowfs url b)" "$before" "the URL with serve"
same "$(state_of b)" suspended
same "$(query b 'show cluster_name')" b
query b 'create table t as select 1 as a' >&2
same "$(state_of b)" idle
eventually 10 state_is b suspended
not_running "$(head -1 "$M/b/postmaster.pid" 2>/dev/null || echo 0)" || fail "a server of a branch that sleeps"
# Cleanly: the next start recovers nothing.
contains "$(as_pg "$PGBIN/pg_controldata" "$M/b" | grep 'cluster state')" "shut down"
same "$(query b 'select a from t')" 1
same "$(starts_of b)" 2

# Nothing wakes what only looks: a probe of the port, pg_isready, the list.
eventually 10 state_is b suspended
port=$(port_of b)
for _ in 1 2 3; do
	"$PGBIN/pg_isready" -q -h 127.0.0.1 -p "$port" || fail "pg_isready says that a branch that sleeps is not there"
	(exec 3<>"/dev/tcp/127.0.0.1/$port")
done
same "$(state_of b)" suspended
same "$(starts_of b)" 2

# A client that stays keeps it awake, in a transaction or not; one that leaves lets it sleep.
"$PGBIN/psql" -h 127.0.0.1 -p "$port" -U postgres -d postgres -Xq -c 'begin' -c 'select pg_sleep(8)' >&2 &
client=$!
eventually 5 state_is b running
sleep 2
same "$(state_of b)" running
wait $client
eventually 10 state_is b suspended

# The shared port: by options, by user@branch, and an error that helps without either.
through() { "$PGBIN/psql" "host=127.0.0.1 port=$shared dbname=postgres $*" -XAtqc 'show cluster_name'; }
same "$(through user=postgres options=--cowfs.branch=b)" b
same "$(through user=postgres options=endpoint=b)" b
same "$(through user=postgres@b)" b
branch feature/x
same "$(through user=postgres options=--cowfs.branch=feature-x)" feature/x
contains "$(through user=postgres 2>&1 || true)" "--cowfs.branch=NAME"
contains "$(through user=postgres@none 2>&1 || true)" 'branch "none" does not exist'

# A branch that was stopped stays so, over a restart of serve; start and wake end that.
cowfs stop b >&2
contains "$(query b 'select 1' 2>&1 || true)" "cowfs start b"
serve_stop
serve_start --suspend-timeout 1s
same "$(state_of b)" stopped
# What a start by hand could not do is not what the next client gets.
refused cowfs start b -c shared_buffers=99999GB
contains "$err" shared_buffers
same "$(query b 'select 1')" 1
cowfs suspend b >&2
cowfs start b -c work_mem=7MB >&2
same "$(query b 'show work_mem')" 7MB
cowfs suspend b >&2
same "$(state_of b)" suspended
cowfs wake b >&2
same "$(state_of b)" idle
same "$(cowfs url b)" "$before" "the URL at the end"

# A branch made a moment ago can be reached, one that was deleted cannot.
branch c
same "$(query c 'show cluster_name')" c
cport=$(port_of c)
cowfs suspend c >&2
drop c
if (exec 3<>"/dev/tcp/127.0.0.1/$cport") 2>/dev/null; then fail "the port of a deleted branch is still open"; fi

# Without serve everything is as it was.
serve_stop
cowfs start b >&2
same "$(cowfs url b)" "$before" "the URL without serve"
same "$(query b 'select a from t')" 1
cowfs stop b >&2
unmount_store
verify_store
