#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An ephemeral branch: marked wherever it is shown; whole after a crash of postgres and of the daemon; refused after one
# of the machine, until it is reset; what is made from it is as durable as anything.
# timeout 300
# Mounts of its own: the machine has another boot id in them.
. "$(dirname "$0")/../lib/own-mounts.sh"
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
boot_id=/proc/sys/kernel/random/boot_id
cp "$boot_id" "$T/boot"
mount --bind "$T/boot" "$boot_id" || skip "needs another boot id"
on_exit "umount $boot_id"
import_main
for b in ci kept again; do on_exit "cowfs stop $b -m immediate"; done
# The machine goes down, and comes up with the disk as it was: what cannot be known there.
machine_crash() {
	pg_kill "$M/ci"
	kill -9 "$(daemon_pid)"
	cat /proc/sys/kernel/random/uuid >"$T/boot"
	mount_store
}
rows() { cowfs psql "$1" -- -XAtc 'select count(*) from t'; }
of() { cowfs -o json branch get "$1" | jq -c "$2"; }

note "marked wherever it is shown"
branch ci --ephemeral
same "$(of ci '[.ephemeral, .labels]')" '[true,["ephemeral"]]'
same "$(of main .ephemeral)" false
contains "$(cowfs branch get ci)" ephemeral
contains "$(cowfs branch list)" ephemeral
same "$(cowfs -o json branch list | jq -r '.branches[] | select(.ephemeral) | .name')" ci
same "$(cowfs -o json start ci | jq .ephemeral)" true
same "$(cowfs -o json url ci | jq .ephemeral)" true
same "$(cowfs -o json top --once | jq -c '.branches[] | select(.name == "ci") | .labels')" '["ephemeral"]'
contains "$(cowfs top --once)" ephemeral
contains "$(<"$COWFS_STORE/log/cowfs.log")" "branch ci is ephemeral"
same "$(cowfs psql ci -- -XAtc 'show fsync')" on

note "postgres is killed, the daemon is killed under load"
cowfs psql ci -- -qc "create table t(n int); insert into t select generate_series(1, 1000)" >&2
pg_kill "$M/ci"
cowfs start ci >&2
same "$(rows ci)" 1000
uri=$(cowfs url ci --socket)
as_pg "$PGBIN/pgbench" -i -q -s 2 "$uri" >"$T/init" 2>&1
as_pg "$PGBIN/pgbench" -n -c 4 -T 3600 "$uri" >"$T/bench" 2>&1 </dev/null &
bench=$!
for k in {1..50}; do cowfs psql ci -- -qc "insert into t values (0)" >&2; done
kill -9 "$(daemon_pid)"
wait "$bench" || true
mount_store
cowfs start ci >&2
same "$(rows ci)" 1050 "rows that were acknowledged before the daemon was killed"
same "$(cowfs psql ci -- -XAtc 'select sum(abalance) = (select sum(bbalance) from pgbench_branches) from pgbench_accounts')" t

note "a child, a snapshot; then the machine goes down"
branch kept --parent ci
cowfs snapshot create ci s1 >&2
same "$(of kept .ephemeral)" false
machine_crash
same "$(of ci .labels)" '["ephemeral","lost"]'
contains "$(cowfs branch list)" lost
exits 8 cowfs start ci
contains "$err" "the machine went down"
contains "$err" "cowfs branch reset ci"
refused cowfs snapshot create ci s2
contains "$err" "branch reset"
refused cowfs branch create other --parent ci
contains "$err" "branch reset"
refused touch "$M/ci/file"
contains "$(<"$COWFS_STORE/log/cowfs.log")" "it needs a reset"
verify_store
cowfs start kept >&2
same "$(rows kept)" 1050 "rows of the child"
branch again --parent ci@s1
cowfs start again >&2
same "$(rows again)" 1050 "rows of the snapshot"
cowfs stop again >&2

note "restore and reset bring it back, as ephemeral as before"
cowfs branch restore ci s1 --yes >&2
same "$(of ci .labels)" '["ephemeral"]'
cowfs start ci >&2
same "$(rows ci)" 1050
cowfs psql ci -- -qc "insert into t values (0)" >&2
machine_crash
exits 8 cowfs start ci
cowfs branch reset ci --yes >&2
same "$(of ci .labels)" '["ephemeral"]'
cowfs start ci >&2
same "$(cowfs psql ci -- -XAtc "select to_regclass('t') is null")" t "its parent has no such table"

note "a clean unmount clears the mark"
cowfs psql ci -- -qc "create table t(n int); insert into t select generate_series(1, 7)" >&2
cowfs stop ci >&2
cowfs stop kept -m immediate >&2 || true
unmount_store
cat /proc/sys/kernel/random/uuid >"$T/boot"
mount_store
cowfs start ci >&2
same "$(rows ci)" 7

note "promoted: the mark goes with the contents"
cowfs stop ci >&2
cowfs branch promote ci >&2
same "$(of main .ephemeral) $(of ci .ephemeral)" "true false"
verify_store
