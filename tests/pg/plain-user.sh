#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Nobody is root: a plain user mounts a store of their own with fusermount3, imports their cluster, and starts, breaks,
# resets and deletes branches of it with their own postgres. Where /dev/fuse is for root only, the test has one of its
# own for all, in a mount namespace of its own.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse cowfs root postgres setpriv fusermount3 unshare
if [[ $(stat -c %A /dev/fuse) != *rw? && -z ${COWFS_OWN_DEV:-} ]]; then
	unshare -m true 2>/dev/null || skip "needs a mount namespace"
	COWFS_OWN_DEV=1 unshare -m --propagation private bash "$0" && exit 0
	exit $?
fi
if [[ -n ${COWFS_OWN_DEV:-} ]]; then
	mknod -m 666 "$T/fuse" c 10 229
	mount --bind "$T/fuse" /dev/fuse
fi
me() { setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$T/own" XDG_RUNTIME_DIR="$T/own/run" COWFS_STORE="$T/own/store" "$@"; }
mine() { me "$COWFS" "$@"; }
cd /
install -d -o postgres -m 700 "$T/own" "$T/own/run" "$T/own/mnt"
pg_init "$T/own/source" -k
mine init "$T/own/store" >&2
me "$COWFS" mount "$T/own/store" "$T/own/mnt" >"$T/.out" 2>&1 </dev/null || fail "a plain user cannot mount: $(<"$T/.out")"
on_exit "mine unmount '$T/own/mnt' || fusermount3 -u -z '$T/own/mnt'"
pid=$(mine -o json status | json pid)
same "$(stat -c %U "/proc/$pid")" postgres "owner of the daemon"
same "$(sed -n 's/^CapEff:\t//p' "/proc/$pid/status")" 0000000000000000 "capabilities of the daemon"
ls "$T/own/mnt/" >/dev/null 2>&1 && fail "root reads the mount of a plain user"

ask() { me "$PGBIN/psql" "$(mine url "$1")" -XAtq -v ON_ERROR_STOP=1 -c "$2"; }
mine import "$T/own/source" main >&2
on_exit "mine stop main -m immediate; mine stop b -m immediate"
mine start main >&2
ask main "create table t as select g from generate_series(1, 50000) g"
mine branch create b >&2
mine start b >&2
same "$(ask b 'select count(*) from t')" 50000 "rows on the branch"
me "$PGBIN/pgbench" -i -s 2 -q "$(mine url b)" >"$T/.out" 2>&1 || fail "pgbench -i: $(<"$T/.out")"
me "$PGBIN/pgbench" -c 4 -T 3 -n "$(mine url b)" >"$T/.out" 2>&1 || fail "pgbench: $(<"$T/.out")"
mine snapshot create b good >&2
ask b 'drop table t, pgbench_history'
same "$(ask main 'select count(*) from t')" 50000 "rows on the parent"
mine stop b >&2
mine branch restore b good --yes >&2
mine start b >&2
same "$(ask b 'select count(*) from t')" 50000 "rows after going back"
same "$(ask b "select count(distinct s) from (select sum(abalance) s from pgbench_accounts union all select sum(delta) from pgbench_history) x")" 1 "sums of pgbench"
mine stop b >&2
mine branch delete b --yes >&2
mine stop main >&2
mine verify >&2
mine unmount "$T/own/mnt" >&2
! grep -q " $T/own/mnt fuse" /proc/self/mounts || fail "still mounted"
mine verify >&2
same "$(find "$T/own/store" ! -user postgres)" "" "files of others in the store"
