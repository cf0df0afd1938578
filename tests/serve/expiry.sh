#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What expires is deleted when its time has come, a few at a time, running or not; what is protected stays.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
serve_start --sweep-interval 200ms --sweep-max 2 --suspend-timeout never
exists() { cowfs branch get "$1" >/dev/null 2>&1; }
gone() { ! exists "$1"; }
names() { cowfs -q branch list | tr '\n' ' '; }

branch short --ttl 2s
query short 'create table t(a int)' >&2
branch keeps --ttl 1s --protected yes
branch later --expires-at 2199-01-01T00:00:00Z
branch forever --ttl 1s
cowfs branch set-expiration forever --expires-at never >&2
exists short || fail "expired too early"
eventually 10 gone short
contains "$(cat "$T/serve.log")" "short was deleted: it expired at"
sleep 1
same "$(names)" "forever keeps later main "

# A time to live that was made longer a moment ago holds, whatever serve knew when it asked.
said=$(python3 - "$COWFS_STORE/control.sock" <<'PY'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(json.dumps({"verb": "branch.delete", "args": {"names": ["later"], "expired": True}}).encode() + b"\n")
print(json.loads(s.makefile().readline())["error"]["message"])
PY
)
contains "$said" "later does not expire now"
exists later || fail "it was deleted all the same"

# Never more than two in a round.
for n in 1 2 3 4 5; do branch "x$n" --expires-at 2001-01-01T00:00:00Z; done
eventually 10 gone x5
same "$(grep -c ' x[0-9] was deleted' "$T/serve.log")" 5

# Protection.
exits 5 cowfs branch delete keeps --yes
exits 5 cowfs branch reset keeps --yes
cowfs branch reset keeps --yes --force >&2
cowfs branch set keeps --protected no >&2
eventually 10 gone keeps

# A reset starts the time to live anew; a running branch without clients makes way for it, one with clients does not.
branch again --ttl 1h
before=$(cowfs -o json branch get again | json expires_at)
query again 'create table t(a int)' >&2
sleep 0.1
cowfs branch reset again --yes >&2
differ "$(cowfs -o json branch get again | json expires_at)" "$before"
same "$(query again "select to_regclass('t') is null")" t
"$PGBIN/psql" -h 127.0.0.1 -p "$(port_of again)" -U postgres -d postgres -Xqc 'select pg_sleep(30)' >&2 &
client=$!
on_exit "kill $client"
eventually 10 state_is again running
exits 5 cowfs branch delete again --yes
cowfs branch delete again --yes --force >&2
wait $client && fail "the client of a deleted branch goes on"

# Settings of one branch.
branch sleepy --suspend-timeout 500ms --max-connections 1
query sleepy 'select 1' >&2
eventually 5 state_is sleepy suspended
cowfs branch set sleepy --suspend-timeout never >&2
query sleepy 'select 1' >&2
sleep 1
same "$(state_of sleepy)" idle

# The handles: exec, wait-ready, logs.
# shellcheck disable=SC2016
same "$(cowfs exec sleepy -- sh -c "\"$PGBIN/psql\" -XAtqc 'show cluster_name'")" sleepy
# shellcheck disable=SC2016
contains "$(cowfs exec sleepy -- sh -c 'echo $DATABASE_URL')" "postgresql://postgres@127.0.0.1:"
cowfs suspend sleepy >&2
cowfs wait-ready sleepy
same "$(state_of sleepy)" idle
contains "$(cowfs logs sleepy)" "ready to accept connections"
same "$(cowfs logs sleepy -n 2 | wc -l)" 2
serve_stop
unmount_store
verify_store
