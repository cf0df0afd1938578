#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Under a clock that the test moves: what expires goes in its second and not before, a few at a time and with the reason
# in the log; what is protected stays; what went comes back, until its window is over.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres python3
clock_start
import_main
printf '[branches]\nundelete_window = 24h\n[serve]\nsweep_max = 3\nsweep_interval = 4s\n' >"$COWFS_STORE/cowfs.conf"
serve_start --suspend-timeout never
exists() { cowfs branch get "$1" >/dev/null 2>&1; }
gone() { ! exists "$1"; }
# at SECONDS: after the beginning.
began=$(date +%s)
at() { clock_set $((began + $1 - $(date +%s))); }
stays() { # stays NAME: a second and a half long
	sleep 1.5
	exists "$1" || fail "$1 went before its time"
}
kept() { cowfs -q branch list --deleted | sort | tr '\n' ' '; }
when() { date -u -d "@$((began + $1))" +%Y-%m-%dT%H:%M:%SZ; }
left() { cowfs -q branch list | grep -c many || true; }
left_is() { (($(left) == $1)); }

branch asleep --expires-at "$(when 7200)"
branch awake --expires-at "$(when 7200)"
branch safe --expires-at "$(when 7200)" --protected yes
branch later --expires-at "$(when 7300)"
query awake 'create table t as select 1 as a' >&2
at 7195
stays asleep
stays awake
at 7200
eventually 2 gone asleep
eventually 5 gone awake
exists safe && exists later || fail "too many went"
contains "$(<"$T/serve.log")" "asleep was deleted: it expired at"
at 7296
stays later
at 7300
eventually 2 gone later

# What expired comes back, and does not expire again at once; its contents and address are what they were.
same "$(kept)" "asleep awake later "
cowfs branch undelete awake >&2
same "$(query awake 'select a from t')" 1
same "$(cowfs -o json branch get awake | json expires_at)" null
stays awake

# Without protection it is due since long.
sleep 4
cowfs branch set safe --protected no >&2
eventually 3 gone safe

# Never more than three within four seconds, however many are due.
for n in 1 2 3 4 5 6 7; do branch "many$n" --expires-at "$(when 8000)"; done
sleep 4
at 8000
eventually 3 left_is 4
sleep 1
same "$(left)" 4 "left after the first round"
eventually 10 left_is 1
eventually 10 left_is 0

# The window of each ends in its second.
at $((7200 + 86400 - 4))
sleep 1.5
contains "$(kept)" "asleep"
at $((7200 + 86400 + 1))
sleep 2.5
lacks "$(kept)" "asleep"
contains "$(kept)" "many1"
exits 3 cowfs branch undelete asleep
serve_stop
unmount_store
verify_store
