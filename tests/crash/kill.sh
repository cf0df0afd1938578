#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the daemon at random moments, with pgbench, an oracle of acknowledged commits, snapshots, branches, deletes
# and gc under way: clients end with an error and never hang, a snapshot in flight does not keep the dead mount alive,
# `cowfs mount` clears the stale mount by itself, nothing acknowledged is missing, verify is clean, nothing leaks.
#
#   tests/crash/kill.sh [--rounds N] [--seed N]      default 10 (COWFS_LONG: 100)
# timeout 900
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres cowfs
rounds=10
[[ -z $COWFS_LONG ]] || rounds=100
while (($#)); do
	case $1 in
	--rounds) rounds=$2 && shift ;;
	--seed) RANDOM=$2 && shift ;;
	*) fail "unknown option $1" ;;
	esac
	shift
done
pg_init "$T/source" -k --wal-segsize=1
store_new
mount_store
cowfs -q import "$T/source" main >&2
rm -rf "$T/source"
pg_start "$M/main"
pg_client "$M/main" pgbench -i -q -s 1 postgres >"$T/init" 2>&1
sql "$M/main" "create table acked(round int, client int, n int, primary key(round, client, n))"
pg_stop "$M/main"
install -d -o postgres "$T/acks"
: >"$T/points"

# points ROUND: snapshots and branches without end, each noted when it was asked for ("try") and answered ("made",
# "gone"); ends with the first that fails, or when the daemon is gone (the command then works without one).
points() {
	local r=$1 k
	for ((k = 1; ; k++)); do
		[[ ! -e $T/stop ]] || return 0
		echo "try r$r.s$k" && cowfs -q snapshot create main "r$r.s$k" && echo "made r$r.s$k" || return 0
		case $((k % 4)) in
		1) cowfs -q branch create "r$r.b$k" --parent main && echo "branch r$r.b$k" || return 0 ;;
		2) echo "try-delete r$r.b$((k - 1))" && cowfs -q branch delete --yes "r$r.b$((k - 1))" || return 0 ;;
		3)
			echo "try-gone r$r.s$((k - 2))"
			cowfs -q snapshot delete --yes "main@r$r.s$((k - 2))" && cowfs -q gc || return 0
			;;
		esac
	done
}
# ends PID WHAT: within 30 seconds, with whatever status.
ends() {
	local end=$((SECONDS + 30))
	while ! not_running "$1"; do
		((SECONDS < end)) || fail "$2 hangs on the dead mount"
		sleep 0.05
	done
	wait "$1" || true
}
check_points() {
	cowfs -q snapshot list main >"$T/list"
	cowfs -q branch list >"$T/branches"
	local what name
	while read -r what name; do
		case $what in
		made) grep -qx "try-gone $name" "$T/points" || grep -qE "(^|@)$name( |\$)" "$T/list" || fail "$1: snapshot $name is missing" ;;
		branch) grep -qx "try-delete $name" "$T/points" || grep -qx "$name" "$T/branches" || fail "$1: branch $name is missing" ;;
		esac
	done <"$T/points"
}
for ((round = 1; round <= rounds; round++)); do
	method=$( ((round % 2)) && echo open_datasync || echo fdatasync)
	pg_start "$M/main" -c wal_sync_method="$method"
	# Each answer is a line of its own: what psql has printed was acknowledged.
	: >"$T/answers"
	rm -f "$T/stop"
	loaders=()
	for c in 1 2; do
		seq 1 100000 | sed "s/.*/insert into acked values ($round, $c, &) returning round, client, n;/" >"$T/load.$c"
		as_pg stdbuf -oL "$PGBIN/psql" -h "$(pg_sock "$M/main")" -p 5432 -U postgres -XAtq -v ON_ERROR_STOP=1 -f - <"$T/load.$c" \
			>>"$T/answers" 2>/dev/null &
		loaders+=($!)
	done
	pg_client_background "$M/main" "$T/bench" pgbench -n -c 2 -T 600 postgres
	bench=$client
	points "$round" >>"$T/points" 2>"$T/points.err" &
	pointer=$!
	pid=$(daemon_pid)
	sleep "$((RANDOM % 3)).$((RANDOM % 10))$((RANDOM % 10))"
	kill -9 "$pid"
	touch "$T/stop"
	timeout 20 stat -f "$M" >/dev/null 2>&1 && fail "round $round: the dead mount answers"
	(($? != 124)) || fail "round $round: stat hangs on the dead mount"
	ends "$pointer" "round $round: a snapshot"
	ends "$bench" "round $round: pgbench"
	for c in "${loaders[@]}"; do ends "$c" "round $round: psql"; done
	pg_kill "$M/main" || true
	# Whatever was in flight: the new daemon has the store to itself at once, and the old mount is gone.
	timeout 60 "$COWFS" mount "$COWFS_STORE" "$M" >"$T/.mount" 2>&1 </dev/null || fail "round $round: mount: $(<"$T/.mount")"
	same "$(grep -c " $M fuse" /proc/self/mounts)" 1 "round $round: mounts"
	pg_start "$M/main"
	sql "$M/main" "select round, client, n from acked where round = $round order by 1, 2, 3" | sort >"$T/there"
	sort -u "$T/answers" >"$T/acked"
	# The last line may be torn: the reader of the pipe saw it, so it counts only when whole.
	lost=$(grep -xE '[0-9]+\|[0-9]+\|[0-9]+' "$T/acked" | comm -23 - "$T/there" | head -3)
	[[ -z $lost ]] || fail "round $round: acknowledged and lost: $lost"
	same "$(pgbench_sums "$M/main")" t "round $round: sums"
	check_points "round $round"
	pg_stop "$M/main"
	note "round $round ($method): $(wc -l <"$T/acked") commits, $(grep -c "made r$round\." "$T/points") snapshots"
done
pg_start "$M/main"
amcheck "$M/main"
name=$(grep -vxFf <(sed -n 's/^try-gone //p' "$T/points") <(sed -n 's/^made //p' "$T/points") | shuf -n 1)
branch last --parent "main@$name"
pg_start "$M/last"
same "$(pgbench_sums "$M/last")" t "sums of $name"
amcheck "$M/last"
pg_stop "$M/last"
pg_stop "$M/main"
check_stopped "$M/main"
check_stopped "$M/last"
cowfs gc >&2
verify_store
