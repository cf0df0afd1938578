#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# No room for one more server: who waits is told why, the longest idle makes room, never one with clients; who gave up is
# not started for, and does not send anybody to sleep.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
for name in a b c d; do branch "$name"; done
serve_start --suspend-timeout 1h --max-running 2 --wait 2s
session() { # session BRANCH: a client that stays; sets $client
	"$PGBIN/psql" -h 127.0.0.1 -p "$(port_of "$1")" -U postgres -d postgres -Xq >"$T/session.$1" 2>&1 < <(echo 'begin;' && sleep 60) &
	client=$!
	on_exit "kill $client"
	eventually 10 state_is "$1" running
}

note "the longest idle"
query a 'select 1' >&2
query b 'select 1' >&2
query a 'select 1' >&2
query c 'select 1' >&2
same "$(state_of a) $(state_of b) $(state_of c)" "idle suspended idle"

note "nobody is idle"
session a
of_a=$client
session c
said=$(query d 'select 1' 2>&1 || true)
contains "$said" 'no room for the server of branch "d": 2 run, which is the most, and none of them is idle'
contains "$said" max_running
same "$(state_of d)" suspended "who gave up"
exits 6 cowfs wait-ready d --timeout 300ms
eventually 5 state_is d suspended
exits 6 cowfs start d --timeout 300ms
eventually 5 state_is d suspended

note "by hand it can be stopped while it waits for its turn"
query d 'select 1' >"$T/d" 2>&1 &
waiting=$!
eventually 5 state_is d starting
cowfs stop d >&2
same "$(state_of d)" stopped
wait $waiting && fail "a client got into a branch that was stopped"
contains "$(<"$T/d")" "was stopped"
cowfs suspend d >&2

note "when there is room again nobody starts for those who gave up"
kill "$of_a"
eventually 10 state_is a idle
sleep 0.5
same "$(starts_of d)" 0 "starts of d"
same "$(query d 'show cluster_name')" d
same "$(state_of a)" suspended
serve_stop
unmount_store
