#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A server that crashes comes back with the next client; one that cannot start says why, and is left alone after three
# times; serve itself may be killed under running servers and finds them again.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
branch b
serve_start --suspend-timeout never
query b 'create table t as select 1 as a' >&2
query b 'select 1' >&2
pg_kill "$M/b"
eventually 10 state_is b suspended
contains "$(cowfs -o json branch get b | json reason)" "signal 9"
same "$(query b 'select a from t')" 1

# kill -9 of serve: the servers go on, the next serve knows them.
pid=$(pg_pid "$M/b")
kill -9 "$serve"
wait "$serve" || true
serve_start --suspend-timeout never
same "$(state_of b)" idle
same "$(query b 'select a from t')" 1
same "$(pg_pid "$M/b")" "$pid"

# What cannot start.
cowfs suspend b >&2
echo 'nonsense = 1' >>"$M/b/postgresql.conf"
for n in 1 2 3; do
	said=$(query b 'select 1' 2>&1 || true)
	contains "$said" "nonsense" "refusal $n"
done
same "$(state_of b)" failed
starts=$(grep -c 'did not start' "$T/serve.log")
contains "$(query b 'select 1' 2>&1 || true)" "cowfs wake b"
same "$(grep -c 'did not start' "$T/serve.log")" "$starts" "tries after it failed"
exits 1 cowfs wake b
sed -i '/nonsense/d' "$M/b/postgresql.conf"
cowfs wake b >&2
same "$(query b 'select a from t')" 1
serve_stop

# A server that was started without serve keeps its address, and is not put to sleep: its clients are not seen.
cowfs start b >&2
url=$(cowfs url b)
serve_start --suspend-timeout 500ms
sleep 1.5
same "$(state_of b)" idle
same "$(query b 'select a from t')" 1
cowfs stop b >&2
cowfs start b >&2
same "$(cowfs url b)" "$url"
same "$(query b 'select a from t')" 1
eventually 10 state_is b suspended
serve_stop
unmount_store
