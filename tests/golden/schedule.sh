#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# long: it waits for the schedule to be looked at, every 10 s
# refresh = daily 03:00: cowfs serve makes the image at that time, once, under a clock that the test moves; a day when it is
# refused, the image stays, and the next day it is tried again.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres python3
export TZ=Europe/Berlin
pg_init "$T/prod"
pg_start "$T/prod"
sql "$T/prod" "create table t as select 1 as a"
pg_stop "$T/prod"
clock_start
import_main
cowfs golden init "$T/golden" >&2
printf '[image]\nrefresh = daily 03:00\n[source]\ntype = pgdata\npgdata = %s\n' "$T/prod" >"$T/golden/golden.conf"
echo 'KEEP t (a);' >"$T/golden/rules/rules.sql"
three() { date -d "$(date -d "+$1 days" +%F) 03:00" +%s; } # of that day after today, as it really is
at() { clock_set $(($1 - $(date +%s))); }
image() { cowfs -o json branch get golden 2>/dev/null | json settings.golden.image; }
said() { (($(grep -c "$1" "$T/serve.log" || true) == $2)); }

at $(($(three 1) - 3600))
serve_start --suspend-timeout never
at $(($(three 1) - 14))
sleep 11 # it looks every 10 s
said 'golden image is due' 0 || fail "it was due before 03:00"
at "$(three 1)"
eventually 60 said 'golden image was refreshed' 1
first=$(image)
same "$first" "$(date -u -d "@$(three 1)" +%Y%m%dT%H)${first:11}" "the image is of that hour"

# Not again on that day; on the next one it is refused, and the day after it is made.
at $(($(three 2) - 60))
echo '' >"$T/golden/rules/rules.sql"
sleep 11
said 'golden image is due' 1 || fail "it was due twice on a day"
at "$(three 2)"
eventually 60 said 'golden image was not refreshed' 1
contains "$(<"$T/serve.log")" "public.t.a: nobody decided about it"
same "$(image)" "$first" "the image of a day without a refresh"
lag=$(cowfs -o json status | json images.0.lag_seconds)
((lag > 86000 && lag < 90000)) || fail "the lag of the image is shown as $lag s"
echo 'KEEP t (a);' >"$T/golden/rules/rules.sql"
sleep 11
said 'golden image is due' 2 || fail "a refused refresh is tried again at once"
at "$(three 3)"
eventually 60 said 'golden image was refreshed' 2
differ "$(image)" "$first"
serve_stop
