#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon's memory and descriptors stay bounded: a large base read whole, a bulk write, a hundred branches each of
# which is looked through, read from and written to. By default 1 GB (mostly holes); --long 10 GB.
# timeout 600
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root python3
files=${COWFS_LONG:+80} files=${files:-8} # of 128 MiB each
branches=100
store_new
mount_store
cowfs -q branch create main --empty >&2
mkdir -p "$M/main/base/5"
# Every 64th block is written, so each chunk of the map is in pieces.
python3 - "$M/main/base/5" "$files" <<'PY'
import os, sys
for k in range(int(sys.argv[2])):
    fd = os.open(f"{sys.argv[1]}/{16384 + k}", os.O_CREAT | os.O_RDWR, 0o600)
    os.ftruncate(fd, 128 << 20)
    for block in range(k % 64, 16384, 64):
        os.pwrite(fd, b"b" * 8192, block * 8192)
    os.fsync(fd)
    os.close(fd)
for k in range(400): # as many small relations as a small database has
    open(f"{sys.argv[1]}/{2000 + k}", "w").write("r" * 8192)
PY
of() { cowfs -o json status | json "$1"; }
mb() { echo $(($(of memory_bytes) >> 20)); }
at_first=$(mb)

# Bulk: large requests in and out, many at a time. What they need stays with the daemon.
dd if=/dev/zero of="$M/main/base/5/9999" bs=1M count=300 conv=fsync status=none
rm "$M/main/base/5/9999"
cat "$M"/main/base/5/* >/dev/null
after_read=$(mb)
descriptors() { find "/proc/$(daemon_pid)/fd" -type l | wc -l; }
fds_read=$(descriptors)

"$SOURCE/bench/ask" "$COWFS_STORE" branch.create '{"name": "b%d", "parent": "main"}' "$branches" >/dev/null
for ((k = 1; k <= branches; k++)); do
	ls -l "$M/b$k/base/5" >/dev/null
	head -c 65536 "$M/b$k/base/5/16384" >/dev/null
	printf x | dd of="$M/b$k/base/5/16385" bs=1 seek=$((k * 8192)) conv=notrunc,fsync status=none
done
cat "$M"/b7/base/5/* >/dev/null
at_last=$(mb)
fds=$(descriptors)
note "resident: $at_first MB at first, $after_read MB after bulk work, $at_last MB with $branches branches in use; $fds descriptors"
cowfs -o json status | python3 -c 'import json, sys
print("#", {k: v for k, v in json.load(sys.stdin).items() if k in ("map_memory_bytes", "cached_bytes", "heap_bytes", "heap_free_bytes", "nodes", "open_extents")})' >&2

[[ -z ${COWFS_SANITIZED:-} ]] || { note "with a sanitizer memory is its own" && exit 0; }
# README: under 150 MB, and a kilobyte for each file of a branch that the kernel knows: here 400 and some.
at_most "$after_read" 150 "memory after reading all, MB"
at_most "$at_last" $((150 + branches / 2)) "memory with $branches branches, MB"
at_most "$fds" 2000 descriptors
# What bulk work leaves behind is its slots of 256 KiB, not of more.
at_most $((after_read - at_first)) 60 "what bulk work left, MB"

# Memory comes back when the kernel forgets: not only to the heap.
echo 2 >/proc/sys/vm/drop_caches
lean() { (($(mb) <= after_read + branches / 10)); }
eventually 15 lean

# Descriptors come back with the branches.
cowfs -q branch delete --yes $(seq -f 'b%g' "$branches") >&2
cowfs -q gc >&2
back() { (($(descriptors) <= fds_read + 16)); }
eventually 30 back
