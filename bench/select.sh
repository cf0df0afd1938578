#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# select.sh: how fast are reads (pgbench -S) of a database larger than shared_buffers?
#
# cold: after a restart, all caches of the machine dropped. warm: again, with all files of the database
# in the page cache.
. "$(dirname "$0")/lib.sh"
bench_begin "$@"

selects() {
	branch_make "$1" reads
	server_start "$1" reads
	drop_caches
	record_tps select-8 cold "$1" -S -c 8 -j 2 -T "$SELECT"
	cat "$(branch_data "$1" reads)"/base/*/* >/dev/null
	record_tps select-8 warm "$1" -S -c 8 -j 2 -T "$SELECT"
}

rounds select selects host cowfs xfs btrfs overlay
bench_end
