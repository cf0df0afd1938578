#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `cowfs log` says what the server of a branch did and why, over another name and over being deleted and had back; what is
# kept is bounded, and goes with the branch.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
# events BRANCH [OPTIONS]: EVENT|MESSAGE, newest first.
events() { cowfs -o json log "$@" | python3 -c 'import json, sys
for e in json.load(sys.stdin)["events"]: print("%s|%s" % (e["event"], e["message"]))'; }
# first N BRANCH, with times left out.
first() { events "$2" >"$T/events" && sed "s/[0-9]* ms/N ms/; $1q" "$T/events"; }
newest() { first 1 "$1"; }
newest_is() { [[ $(newest "$1") == $2 ]]; }
branch b
branch c

note "without serve"
cowfs start b >&2
cowfs stop b >&2
same "$(first 9 b)" $'stopped|by hand\nstarted|N ms: by hand\ncreated|from main'
cowfs start b >&2
cowfs stop b -m immediate >&2
same "$(newest b)" "stopped|by hand, without a checkpoint"

note "with it: who connected, how long nobody did, who took the room, by hand"
serve_start --suspend-timeout 1s --max-running 1
cowfs wake b >&2
newest_is b 'started|N ms: by hand' || fail "$(events b)"
eventually 10 state_is b suspended
same "$(newest b)" "suspended|without clients for 1 s"
PGAPPNAME=nightly query b 'create table t as select 1 as a' >&2
newest_is b 'started|N ms: a client connected: postgres with nightly from 127.0.0.1' || fail "$(events b)"
cowfs branch set b --suspend-timeout never >&2
same "$(query c 'select 1')" 1
same "$(newest b)" "suspended|made room for c: 1 servers are the most"
cowfs suspend c >&2
same "$(newest c)" "suspended|by hand"
cowfs wait-ready c >&2
cowfs stop c >&2
same "$(first 2 c)" $'stopped|by hand\nstarted|N ms: cowfs wait-ready'

note "crashes, and the last of them"
for n in 1 2 3; do
	query b 'select 1' >&2
	pg_kill "$M/b"
	((n == 3)) || eventually 10 state_is b suspended
done
eventually 10 state_is b failed
same "$(first 2 b)" $'failed|3 times in a row; cowfs wake tries again\ncrashed|postgres ended by signal 9'

note "what does not start"
branch n
echo 'nonsense = 1' >>"$M/n/postgresql.conf"
refused cowfs wake n
newest_is n 'no start|postgres ended while starting*FATAL*' || fail "$(events n)"

note "another name; deleted and had back"
cowfs wake b >&2
cowfs suspend b >&2
lines=$(events b | wc -l)
cowfs branch rename b other/b >&2
same "$(events other/b | wc -l)" "$lines" "events under another name"
contains "$(cowfs logs other/b -n 500)" "database system is shut down"
drop other/b --undelete-window 1h
cowfs branch undelete other/b >&2
same "$(events other/b | wc -l)" "$lines" "events after an undelete"
serve_stop

note "bounded"
same "$(events other/b -n 2 | grep -vc created)" 2 "lines with -n 2"
exits 2 cowfs log other/b -n many
file=$COWFS_STORE/log/history-$(cowfs -o json branch get other/b | json id).jsonl
for _ in {1..1500}; do tail -n 1 "$file"; done >"$T/many"
cat "$T/many" "$T/many" "$T/many" >>"$file"
cowfs start other/b >&2
at_most "$(stat -c %s "$file")" 1000 "bytes of the fresh file"
cowfs stop other/b >&2
newest_is other/b 'stopped|by hand' || fail "$(first 3 other/b)"
at_most "$(events other/b | wc -l)" 101 "lines by default"
(($(events other/b -n 100000 | wc -l) > 1000)) || fail "the file before is not read"
# A line that was cut is none.
printf '{"time": "2026-' >>"$file"
newest_is other/b 'stopped|by hand' || fail "a cut line: $(first 3 other/b)"

note "gone with the branch, after a day, and nothing else"
log=$COWFS_STORE/log/postgres-c.log
touch -d '2 days ago' "$log" "$COWFS_STORE"/log/history-*
others=$(ls "$COWFS_STORE/log" | grep -vc "history-$(cowfs -o json branch get c | json id)\|postgres-c\.log")
drop c --undelete-window 1h
again() { unmount_store && mount_store "$M" >&2; } # it is looked at a mount, and then once an hour at most
again
[[ -e $log ]] || fail "its log went while it can be had back"
cowfs branch purge c --yes >&2
again
[[ ! -e $log ]] || fail "the log of a branch that is gone for good stays"
same "$(ls "$COWFS_STORE/log" | wc -l)" "$others" "other files"
unmount_store
verify_store
