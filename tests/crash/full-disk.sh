#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# long: it fills a disk of 1 GB three times in each round (fs/full-disk does the same without postgres in 20 s)
# timeout 900
# The host's file system of the store (a loop device of 1 GB) fills up while a bulk load and pgbench run on two branches,
# with an oracle of acknowledged commits. Then: writes wait, reads and deletes go on, room makes the waiting go on at once,
# no acknowledged commit is lost, no server PANICs, every branch starts again; also when the daemon is killed while the disk
# is full, when a write of the map finds no room, with --cache=writethrough and with --full-disk=fail.
#
#   tests/crash/full-disk.sh [--fs ext4|xfs|both] [--rounds N] [--all]
#
# Default: ext4, one round of the first part. --all (COWFS_LONG: with both, and 3 rounds): write-through, fail and the map too.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres cowfs losetup mkfs.ext4
kinds=ext4 rounds=1 all=
[[ -z $COWFS_LONG ]] || kinds=both rounds=3 all=1
while (($#)); do
	case $1 in
	--fs) kinds=$2 && shift ;;
	--rounds) rounds=$2 && shift ;;
	--all) all=1 ;;
	*) fail "unknown option $1" ;;
	esac
	shift
done
[[ $kinds != both ]] || kinds="ext4 xfs"

status() { cowfs -o json status | json "$1"; }
waits() { (($(status waiting_for_room) > 0)); }
waits_on() { waits && sleep 1 && waits; } # more than a moment on the way
waits_not() { (($(status waiting_for_room) == 0)); }
# host_new KIND: $H is a file system of its own.
host_new() {
	requires "mkfs.$1"
	H=$T/host.$1
	mkdir "$H"
	truncate -s 1G "$T/img.$1"
	local options=(-q)
	[[ $1 != ext4 ]] || options+=(-m 0)
	"mkfs.$1" "${options[@]}" "$T/img.$1"
	LOOP=$(losetup -f --show "$T/img.$1")
	on_exit "losetup -d $LOOP"
	mount "$LOOP" "$H"
	on_exit "umount $H || umount -l $H"
	chmod 755 "$H"
}
# ballast NAME MB: a branch that holds so much.
ballast() {
	cowfs -q branch create "$1" --empty >&2
	mkdir -p "$M/$1/base/1"
	dd if=/dev/zero of="$M/$1/base/1/1" bs=1M count="$2" conv=fsync status=none
}
# acked N: inserts one row after another in the background; each line in $T/answers was acknowledged. Sets $loader.
acked() {
	seq 1 1000000 | sed "s/.*/insert into acked values ($1, &) returning round, n;/" >"$T/load"
	setpriv --reuid=postgres --regid=postgres --init-groups stdbuf -oL "$PGBIN/psql" -h "$(pg_sock "$M/bank")" -p 5432 \
		-U postgres -d postgres -XAtq -v ON_ERROR_STOP=1 -f - <"$T/load" >>"$T/answers" 2>"$T/answers.err" &
	loader=$!
	on_exit "kill $loader"
}
bulk_load() { # in the background; sets $bulk
	pg_client_background "$M/bulk" "$T/bulk.out" psql -d postgres -Xq -v ON_ERROR_STOP=1 \
		-c "insert into load select g, repeat('x', 500) from generate_series(1, 3000000) g"
	bulk=$client
}
# Between two looks the number of acknowledged commits grows.
goes_on() {
	local before
	before=$(wc -l <"$T/answers")
	sleep 0.3
	(($(wc -l <"$T/answers") > before))
}
no_panic() {
	! pg_log "$M/$1" 2>/dev/null | grep -m 3 PANIC >&2 || fail "$2: PANIC on $1"
}
check_oracle() { # check_oracle WHAT: with the server of bank running
	local lost
	grep -xE '[0-9]+\|[0-9]+' "$T/answers" | sort -u >"$T/acks" # before the look: somebody may still be writing
	sql "$M/bank" "select round, n from acked" | sort >"$T/there"
	lost=$(comm -23 "$T/acks" "$T/there" | head -3)
	[[ -z $lost ]] || fail "$1: acknowledged and lost: $lost"
	same "$(pgbench_sums "$M/bank")" t "$1: sums"
	note "$1: $(wc -l <"$T/acks") acknowledged commits, all there"
}
stop_clients() {
	kill "$@" 2>/dev/null || true
	wait "$@" 2>/dev/null || true
}
# Reads, and nothing else, while everything waits.
reads_go_on() {
	local b
	# What a new connection would write first, and has to do without. The table is frozen: a scan of one that is not may
	# have to write WAL, and that may have to wait.
	rm -f "$M"/{bank,bulk}/{global,base/*}/pg_internal.init
	for b in bank bulk; do
		timeout 20 "$PGBIN/psql" -h "$(pg_sock "$M/$b")" -p 5432 -U postgres -XAtq -d postgres \
			-c "set default_transaction_read_only = on; select count(*) from still" >"$T/.read" 2>&1 ||
			fail "reads of $b: $(<"$T/.read")"
		[[ $(tail -n 1 "$T/.read") == 20000 ]] || fail "reads of $b: $(<"$T/.read")"
	done
	timeout 20 cat "$M/cold/base/1/1" | cmp -n 20M - /dev/zero || fail "a cold file cannot be read"
	timeout 20 find "$M" -maxdepth 2 >/dev/null || fail "directories cannot be read"
}

# A server that is killed while its write waits leaves half a block at the end of a relation, here as on any file system:
# the kernel writes page by page. postgres does not see it and writes over it when it extends the relation (md.c counts
# whole blocks); pg_checksums trips over it.
without_halves() {
	local f size
	while read -r size f; do
		note "half a block at the end of ${f#"$M/"} ($size bytes)"
		truncate -s $((size / 8192 * 8192)) "$f"
	done < <(find "$1/base" "$1/global" -type f -regex '.*/[0-9]+\(_[a-z]+\)?\(\.[0-9]+\)?' -printf '%s %p\n' | awk '$1 % 8192')
}

# fill: bulk load and commits until something waits.
fill_up() {
	acked "$1"
	bulk_load
	pg_client_background "$M/bank" "$T/bench" pgbench -n -c 2 -T 600 postgres
	bench=$client
	eventually 60 waits_on
}

cycle() { # cycle KIND ROUND
	local what="$1, round $2" pid
	pg_start "$M/bank"
	pg_start "$M/bulk"
	fill_up "$2"
	same "$(status room)" critical "$what: room"
	(($(status reserve_map_bytes) > 0)) || fail "$what: the map's reserve is gone"
	reads_go_on
	refused cowfs branch create late --parent cold
	contains "$err" "too little room"
	refused timeout 60 "$COWFS" snapshot create bank late
	# Deleting needs no room, gives it back at once, and what waits goes on.
	cowfs -q branch delete --yes ballast >&2
	eventually 5 goes_on
	note "$what: went on after a delete"
	eventually 60 waits_on # ... until it is full again
	no_panic bank "$what"
	no_panic bulk "$what"
	# The daemon dies while the disk is full; clients end; the next daemon starts on the full disk.
	pid=$(daemon_pid)
	kill -9 "$pid"
	stop_clients "$loader" "$bulk" "$bench"
	pg_kill "$M/bank" || true
	pg_kill "$M/bulk" || true
	cowfs mount "$COWFS_STORE" "$M" >&2
	cowfs -q branch delete --yes ballast2 >&2
	pg_start "$M/bank"
	check_oracle "$what, killed"
	# A server that waits is ended by stop -m immediate, a branch by delete --force; that frees the others.
	pg_start "$M/bulk"
	fill_up "1$2"
	cowfs -q branch get bulk >&2
	timeout 60 "$COWFS" stop bulk -m immediate >&2
	wait "${server_pid[$(pg_sock "$M/bulk")]}" || true
	unset "server_pid[$(pg_sock "$M/bulk")]"
	wait "$bulk" || true
	cowfs -q branch delete --yes --force bulk >&2
	eventually 5 goes_on
	eventually 10 waits_not
	stop_clients "$loader" "$bench"
	no_panic bank "$what"
	check_oracle "$what, after delete --force"
	pg_stop "$M/bank"
}

refill() { # what cycle used up
	cowfs -q branch create bulk --parent seed >&2
	ballast ballast 100
	ballast ballast2 120
}

# With write-through the load gets an ordinary error at once, and the server goes on.
writethrough() {
	unmount_store
	mount_store "$M" --cache writethrough
	refill
	pg_start "$M/bank"
	pg_start "$M/bulk"
	acked 1000
	bulk_load
	wait "$bulk" && fail "the load fitted"
	contains "$(<"$T/bulk.out")" "No space left on device"
	contains "$(<"$T/bulk.out")" "ERROR:"
	goes_on || fail "write-through: commits do not go on"
	stop_clients "$loader"
	no_panic bulk write-through
	no_panic bank write-through
	pg_stop "$M/bulk" # a shutdown checkpoint on what is left
	pg_start "$M/bulk"
	same "$(sql "$M/bulk" "select count(*) from load")" 0 "write-through: rows of the failed load"
	sql "$M/bulk" "truncate load; checkpoint"
	check_oracle write-through
	pg_stop "$M/bulk"
	pg_stop "$M/bank"
	cowfs -q branch delete --yes bulk ballast ballast2 >&2
}

# With --full-disk=fail the error surfaces; what it spoilt is lifted by a recovery, and nothing acknowledged is missing.
failing() {
	unmount_store
	mount_store "$M" --full-disk fail
	refill
	pg_start "$M/bank"
	pg_start "$M/bulk"
	acked 2000
	bulk_load
	eventually 60 not_running "$bulk"
	same "$(status waiting_for_room)" 0 "waiting with --full-disk=fail"
	stop_clients "$loader"
	pg_kill "$M/bulk" || true
	pg_kill "$M/bank" || true
	cowfs -q branch delete --yes ballast ballast2 >&2
	for b in bank bulk; do
		eventually 10 cowfs -q branch recover "$b"
		pg_start "$M/$b"
	done
	check_oracle failing
	pg_stop "$M/bank"
	pg_stop "$M/bulk"
	cowfs -q branch delete --yes bulk >&2
}

# Somebody else takes all that the host has, so that not even the map can be written: nothing is acknowledged any more,
# and after room was made and the store opened again everything is there.
others_eat() {
	unmount_store
	mount_store
	pg_start "$M/bank"
	acked 3000
	eventually 10 goes_on
	for _ in 1 2 3 4 5 6; do
		dd if=/dev/zero of="$H/others" bs=1M oflag=append conv=notrunc status=none 2>/dev/null || true
		sleep 0.3
	done
	# Names changed until the map's log has no room.
	timeout 20 bash -c 'mkdir -p "$0"/churn.{1..200}/name.{1..40}' "$M/cold" 2>"$T/churn.err" || true
	note "map failed: $(status map_failed), reserves $(status reserve_map_bytes) $(status reserve_data_bytes)"
	rm "$H/others"
	stop_clients "$loader"
	pg_kill "$M/bank" || true
	cowfs unmount --force "$M" >&2
	mount_store "$M"
	eventually 20 cowfs -q branch recover bank
	pg_start "$M/bank"
	check_oracle "others took the disk"
	pg_stop "$M/bank"
	rm -rf "$M/cold"/churn.*
}

for kind in $kinds; do
	host_new "$kind"
	pg_init "$T/source" -k --wal-segsize=16
	store_new "$H/store"
	mount_store "$T/mnt.$kind"
	cowfs -q import "$T/source" bank >&2
	rm -rf "$T/source"
	pg_start "$M/bank" -c max_wal_size=64MB
	sql "$M/bank" "create table load(n int, t text)"
	sql "$M/bank" "create table still as select g from generate_series(1, 20000) g"
	sql "$M/bank" "alter system set max_wal_size = '64MB'"
	sql "$M/bank" "alter system set checkpoint_timeout = '30s'"
	sql "$M/bank" "vacuum (freeze, analyze)"
	pg_stop "$M/bank"
	cowfs -q branch create seed --parent bank >&2
	pg_start "$M/bank"
	pg_client "$M/bank" pgbench -i -q -s 2 postgres >"$T/init" 2>&1
	sql "$M/bank" "create table acked(round int, n int, primary key(round, n))"
	sql "$M/bank" "vacuum (freeze, analyze)"
	pg_stop "$M/bank"
	ballast cold 20
	: >"$T/answers"
	for ((round = 1; round <= rounds; round++)); do
		refill
		cycle "$kind" "$round"
	done
	if [[ -n $all ]]; then
		writethrough
		failing
		others_eat
	fi
	pg_start "$M/bank"
	amcheck "$M/bank"
	pg_stop "$M/bank"
	without_halves "$M/bank"
	check_stopped "$M/bank"
	cowfs gc >&2
	verify_store
	unmount_store
done
