#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# pgbench.sh: how many transactions (TPC-B, every one a commit) does a branch take?
#
# In one life of a branch: its first seconds, when nearly every block is written for the first time;
# steady, after every page of the big table has been touched once; and while a snapshot is made every
# few seconds. The host directory is copied anew each round and goes through the same.
. "$(dirname "$0")/lib.sh"
bench_begin "$@"

# Every page is written once, as an hour of work would: 61 rows lie on one page of this table.
touch_every_page() {
	query 'UPDATE pgbench_accounts SET abalance = abalance WHERE aid % 50 = 0'
	query 'CHECKPOINT'
}

# A snapshot every SNAP_EVERY seconds, the first at once, until the file is gone.
snapshots() {
	local n how due=$SECONDS
	for ((n = 0; ; n++)); do
		while ((SECONDS < due)); do
			[[ -e $WORK/snapping ]] || return 0
			sleep 0.1
		done
		how=$(snapshot_how "$1" tpcb "s$n")
		eval "$how" >/dev/null || return
		due=$((due + SNAP_EVERY))
	done
}

record_snapping() {
	local loop value
	: >"$WORK/snapping"
	snapshots "$1" &
	loop=$!
	value=$(tps -c 8 -j 2 -T "$SNAP_FOR")
	rm "$WORK/snapping"
	wait "$loop"
	record tpcb-8 snapshots "$1" "$value" tps more \
		"pgbench -n -c 8 -j 2 -T $SNAP_FOR bench; every $SNAP_EVERY s: $(snapshot_how "$1" tpcb N)"
}

# host and cowfs go through everything; the others as far as there is time: OTHER_STATES.
goes_through() {
	case $1 in
	host | cowfs) ;;
	*) [[ " $OTHER_STATES " == *" $2 "* ]] || return 1 ;;
	esac
	[[ $2 != snapshots || $1 == cowfs || -n $(snapshot_how "$1" x x) && $1 != cowfs-ephemeral ]]
}

tpcb() {
	branch_make "$1" tpcb
	quiesce
	server_start "$1" tpcb
	! goes_through "$1" fresh || record_tps tpcb-8 fresh "$1" -c 8 -j 2 -T "$FRESH"
	touch_every_page
	record_tps tpcb-8 steady "$1" -c 8 -j 2 -T "$STEADY"
	! goes_through "$1" 'one-client' || record_tps tpcb-1 steady "$1" -c 1 -T "$STEADY"
	! goes_through "$1" snapshots || record_snapping "$1"
}

rounds tpcb tpcb "${SUBJECTS[@]}"
bench_end
