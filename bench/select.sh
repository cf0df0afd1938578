#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# select.sh: how fast are reads (pgbench -S) of a database larger than shared_buffers?
#
# cold: after a restart, all caches of the machine dropped. warm: the same again, from the page cache.
. "$(dirname "$0")/lib.sh"
bench_begin "$@"

selects() {
	branch_make "$1" reads
	server_start "$1" reads
	drop_caches
	record_tps select-8 cold "$1" -S -c 8 -j 2 -T "$SELECT"
	query 'SELECT count(*) FROM pgbench_accounts' >/dev/null
	record_tps select-8 warm "$1" -S -c 8 -j 2 -T "$SELECT"
}

rounds select selects host cowfs xfs btrfs overlay
bench_end
