#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A password that passes through (a URL, a seed, a query, a client of serve) stands in no log, no socket directory, no
# settings and no command line of what keeps running.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres cowfs
word=Sesame-$RANDOM$RANDOM
import_main
cowfs start main >&2
on_exit "cowfs stop main -m immediate"
cat >"$T/seed.sql" <<SQL
create role app login password '$word';
create table t(n int);
SQL
cowfs -q branch create b --parent main --seed "$T/seed.sql" >&2
cowfs start b >&2
on_exit "cowfs stop b -m immediate"
url=$(cowfs url b)
with=$(sed "s|://[^@]*@|://app:$word@|; t; s|://|://app:$word@|" <<<"$url")
contains "$with" ":$word@"
cowfs psql b -- -c "alter role app password '$word'" >&2
psql "$with" -Atc "select 1" >&2 || true
cowfs psql b -- "$with" -c "select 2" >&2 || true
cowfs exec b -- true >&2 || true
cowfs status >&2
cowfs -o json branch get b >"$T/get"
! grep -q "$word" "$T/get" || fail "branch get shows the password"
pid=$(daemon_pid)
! tr '\0' '\n' <"/proc/$pid/cmdline" | grep -q "$word" || fail "the daemon's command line"
for log in "$COWFS_STORE"/log /run/cowfs; do
	found=$(grep -rlF --devices=skip "$word" "$log" 2>/dev/null || true)
	[[ -z $found ]] || fail "the password stands in: $found"
done
found=$(find "$COWFS_STORE" -maxdepth 1 -type f -exec grep -lF "$word" {} + || true)
[[ -z $found ]] || fail "the password stands in: $found"
# The servers' own logs, below the branches.
found=$(find "$M" -path '*log*' -type f -exec grep -lF "$word" {} + 2>/dev/null || true)
[[ -z $found ]] || fail "the password stands in: $found"
