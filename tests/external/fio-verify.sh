#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# fio writes blocks with a checksum in each and reads them back, in the ways postgres writes (WAL with fdatasync, heap at
# random with fsync) and in others (libaio with O_DIRECT, mmap, io_uring): on the host first, then on a branch and its child.
# long: some minutes of disk
# timeout 1200
. "$(dirname "$0")/../lib/lib.sh"
requires fuse cowfs fio
cat >"$T/job" <<'JOB'
[global]
size=64m
bs=8k
verify=crc32c
verify_fatal=1
verify_backlog=1024
do_verify=1
randrepeat=0
directory=${FIODIR}
[wal-like]
rw=write
ioengine=psync
fdatasync=8
[heap-like]
stonewall
rw=randwrite
ioengine=psync
fsync=128
[mixed-aio]
stonewall
rw=randrw
ioengine=libaio
iodepth=16
direct=1
[mmap]
stonewall
rw=randwrite
ioengine=mmap
[uring]
stonewall
rw=randwrite
ioengine=io_uring
iodepth=16
JOB
verify_in() { # verify_in DIR: every job without an error
	mkdir -p "$1"
	FIODIR=$1 fio --aux-path="$T" "$T/job" >"$T/fio.log" 2>&1 || fail "fio in $1: $(grep -iE 'verify|error|err=' "$T/fio.log" | head -5)"
	same "$(grep -c 'err= 0' "$T/fio.log")" 5 "jobs without an error in $1"
}
verify_in "$T/host"
store_new
mount_store
branch main --empty -q
verify_in "$M/main/base"
branch child --parent main -q
verify_in "$M/child/base"
unmount_store
verify_store
note "5 jobs each on the host, on a branch, and over its files on a child"
