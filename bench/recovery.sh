#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# recovery.sh: how long until the first row after a crash of postgres?
#
# A fixed number of transactions after a CHECKPOINT, then stop -m immediate, caches dropped, start:
# every subject replays the same amount of WAL.
. "$(dirname "$0")/lib.sh"
bench_begin "$@"

crash() {
	local began
	branch_make "$1" crash
	server_start "$1" crash
	query 'CHECKPOINT'
	tps -c 8 -j 2 -t "$RECOVER_TX" >/dev/null
	server_stop "$1" crash immediate
	drop_caches
	began=${EPOCHREALTIME/./}
	server_start "$1" crash
	query 'SELECT 1' >/dev/null
	took "$began"
	record recovery "" "$1" "$MS" ms less \
		"pgbench -n -c 8 -j 2 -t $RECOVER_TX bench; stop -m immediate; start; SELECT 1"
}

rounds recovery crash host cowfs xfs btrfs overlay
bench_end
