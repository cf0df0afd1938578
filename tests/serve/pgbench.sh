#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# pgbench, COPY and big results through the proxy, over sleeping and waking; the most servers at once.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
serve_start --suspend-timeout 1s --max-running 2
port=$(port_of main)
bench() { "$PGBIN/pgbench" -h 127.0.0.1 -p "$port" -U postgres "$@" postgres >"$T/bench" 2>&1 || fail "pgbench: $(<"$T/bench")"; }
bench -i -s 2
eventually 10 state_is main suspended
bench -n -c 8 -j 2 -t 200
bench -n -c 4 -t 200 -C -S
bench -n -c 4 -t 500 -M prepared
same "$(query main 'select count(*) from pgbench_history')" 3600
"$PGBIN/psql" -h 127.0.0.1 -p "$port" -U postgres -d postgres -Xqc '\copy pgbench_accounts to stdout' >"$T/out"
query main 'create table copy (like pgbench_accounts)' >&2
"$PGBIN/psql" -h 127.0.0.1 -p "$port" -U postgres -d postgres -Xqc '\copy copy from stdin' <"$T/out"
same "$(query main 'select count(*), sum(abalance) from copy')" "$(query main 'select count(*), sum(abalance) from pgbench_accounts')"
same "$(query main "select length(repeat('x', 50000000))")" 50000000
same "$(query main "select repeat('x', 30000000)" | wc -c)" 30000001
# A replication client talks another dialect after the same beginning.
contains "$("$PGBIN/psql" "host=127.0.0.1 port=$port user=postgres replication=1" -XAtqc 'IDENTIFY_SYSTEM')" "|"

# At most two: a third puts the one to sleep that has been idle longest, never one with clients.
for b in x y z; do branch $b; done
serve_stop
serve_start --suspend-timeout never --max-running 2
query x 'select 1' >&2
query y 'select 1' >&2
query z 'select 1' >&2
same "$(state_of x)" suspended
same "$(state_of y) $(state_of z)" "idle idle"
serve_stop
unmount_store
