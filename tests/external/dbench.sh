#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# dbench: the file calls of an office server, by two clients; on the host first, then on a branch.
# long: half a minute
# timeout 300
. "$(dirname "$0")/../lib/lib.sh"
requires fuse cowfs dbench
dbench_in() {
	mkdir -p "$1"
	dbench -D "$1" -t 10 2 >"$T/dbench.log" 2>&1 || fail "dbench in $1: $(tail -5 "$T/dbench.log")"
	contains "$(<"$T/dbench.log")" "Throughput"
}
dbench_in "$T/host"
store_new
mount_store
branch main --empty -q
dbench_in "$M/main/base"
unmount_store
verify_store
note "$(grep Throughput "$T/dbench.log")"
