#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fio.sh: what does one 8 KiB request cost, without postgres?
#
# In a data directory, under names that postgres uses (cowfs has a policy by name): random reads of a
# file of the parent with all caches dropped, random writes to it with an fsync at the end, and writes
# with O_DSYNC over a WAL segment that is there already, as every commit is one.
. "$(dirname "$0")/lib.sh"
bench_begin "$@"

# run NAME FILE OPTIONS...: the JSON of fio's only job in $FIO, the command in $FIO_COMMAND.
run() {
	FIO_COMMAND="fio --name=$1 --filename=$2 --ioengine=psync --bs=8k --fallocate=none ${*:3}"
	FIO=$($FIO_COMMAND --output-format=json | jq '.jobs[0]')
}
field() { jq -r "$1" <<<"$FIO"; }

request() {
	local data file wal
	branch_make "$1" fio
	data=$(branch_data "$1" fio)
	file=$(largest_file "$data")
	wal=$(ls "$data"/pg_wal/0* | sed -n 1p)
	dd if=/dev/zero of="$wal" bs=64k count=256 conv=notrunc,fsync status=none
	drop_caches
	run randread "$file" --rw=randread --io_size="${FIO_MIB}m" --runtime="$FIO_FOR"
	record fio-read "cold" "$1" "$(field '.read.clat_ns.mean / 1000')" µs less "$FIO_COMMAND"
	cat "$file" >/dev/null
	run randread "$file" --rw=randread --invalidate=0 --time_based --runtime="$FIO_FOR"
	record fio-read "warm" "$1" "$(field '.read.clat_ns.mean / 1000')" µs less "$FIO_COMMAND"
	run randwrite "$file" --rw=randwrite --invalidate=0 --io_size="${FIO_MIB}m" --end_fsync=1
	record fio-write "fsync at the end" "$1" \
		"$(field '.write.total_ios * 1000 / .job_runtime')" IOPS more "$FIO_COMMAND"
	run wal "$wal" --rw=write --sync=dsync --size=16m --time_based --runtime="$FIO_WAL"
	record fio-wal p50 "$1" "$(field '.write.clat_ns.percentile["50.000000"] / 1000')" µs less \
		"$FIO_COMMAND"
	record fio-wal p99 "$1" "$(field '.write.clat_ns.percentile["99.000000"] / 1000')" µs less \
		"$FIO_COMMAND"
}

rounds fio request host cowfs xfs btrfs overlay cowfs-ephemeral
bench_end
