#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout 120
# What the mount does on a full disk, without postgres: a load stops before the kernel accepts what has no room, so nobody
# waits with the lock of a file: its size and its blocks can be asked for, others write where they have blocks already, the
# load can be killed; with --full-disk=fail it gets ENOSPC and nothing is spoilt.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root cowfs losetup mkfs.ext4 python3

status() { cowfs -o json status | json "$1"; }
waits() { (($(status waiting_for_room) > 0)); }
waits_not() { (($(status waiting_for_room) == 0)); }
# Endless, into a new relation; looks for the end more often than it writes, so that if one of both were held back under
# the lock of the file, it would most likely be that. Sets $loader.
load() {
	python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o600)
while True:
    for _ in range(9):
        end = os.lseek(fd, 0, os.SEEK_END)
    os.pwrite(fd, bytes(8192), end)' "$M/main/base/1/$1" 2>"$T/load.err" &
	loader=$!
	on_exit "kill -9 $loader"
}

truncate -s 256M "$T/img" # small: what the kernel may hold back is more than this disk's reserve
mkfs.ext4 -q -m 0 "$T/img"
mkdir "$T/host"
LOOP=$(losetup -f --show "$T/img")
on_exit "losetup -d $LOOP"
mount "$LOOP" "$T/host"
on_exit "umount $T/host || umount -l $T/host"
store_new "$T/host/store"
mount_store "$T/mnt"
on_exit "cowfs unmount --force '$M'" # what waits at a failure would keep it
cowfs -q branch create main --empty >&2
cowfs -q branch create ballast --empty >&2
mkdir -p "$M/main/base/1" "$M/ballast/base/1"
dd if=/dev/zero of="$M/ballast/base/1/20000" bs=1M count=60 conv=fsync status=none
dd if=/dev/zero of="$M/main/base/1/20001" bs=1M count=8 conv=fsync status=none

load 20002
waits_on() { waits && sleep 1 && waits; } # more than a moment on the way
eventually 60 waits_on
same "$(status room)" critical "room"
# Of the file that the load writes: size, blocks, attributes, a listing, a new name.
# In the background: what hangs for the lock of a file cannot be killed, and the end of the mount sets it free.
python3 - "$M/main/base/1" <<'PY' &
import errno, os, sys, time
base = sys.argv[1]
def timed(what, f):
    t = time.monotonic()
    r = f()
    took = time.monotonic() - t
    assert took < 5, f"{what} took {took:.1f} s"
    return r
full = timed("open", lambda: os.open(f"{base}/20002", os.O_RDWR))
for _ in range(300): # more than a process may write, so none of these counts as a write
    assert timed("lseek to the end", lambda: os.lseek(full, 0, os.SEEK_END)) > 0
    timed("fstat", lambda: os.fstat(full))
    timed("listing", lambda: os.listdir(base))
    assert timed("read", lambda: os.pread(full, 8192, 0)) == bytes(8192)
own = timed("open", lambda: os.open(f"{base}/20001", os.O_RDWR))
for i in range(200): # far more than a process that takes room may
    timed("a write in place", lambda: os.pwrite(own, b"x" * 8192, 8192 * (i % 1024)))
timed("fsync", lambda: os.fsync(own))
# What a new connection would make, and can do without.
try:
    os.close(os.open(f"{base}/pg_internal.init.1", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    sys.exit("a file that can be done without was made")
except OSError as e:
    assert e.errno == errno.ENOSPC, e
PY
reader=$!
eventually 30 not_running "$reader"
wait "$reader" || fail "reads hang, or writes that need no room do"
waits || fail "the load went on"
refused cowfs snapshot create main
contains "$err" "full"
# It can be killed, though it writes through the page cache.
kill -9 "$loader"
eventually 5 not_running "$loader"
wait "$loader" 2>/dev/null || true
eventually 5 waits_not
# Another one waits, and goes on when there is room.
load 20003
eventually 20 waits_on
cowfs -q branch delete --yes ballast >&2
size() { stat -c %s "$M/main/base/1/20003"; }
before=$(size)
grown() { (($(size) > before + (20 << 20))); }
eventually 20 grown
eventually 30 waits_on
kill -9 "$loader"
wait "$loader" 2>/dev/null || true
rm "$M/main/base/1/20002" "$M/main/base/1/20003"
cowfs gc >&2
plenty() { [[ $(status room) == plenty ]]; }
eventually 20 plenty
cowfs -q snapshot create main after >&2

# fail: at once, to whoever writes.
unmount_store
mount_store "$T/mnt" --full-disk fail
load 20004
wait "$loader" && fail "an endless load ended well"
contains "$(<"$T/load.err")" "No space left on device"
same "$(status waiting_for_room)" 0 "waiting with --full-disk=fail"
rm "$M/main/base/1/20004"
cowfs gc >&2
eventually 20 plenty
cowfs -q snapshot create main after-failing >&2 # nothing is spoilt
verify_store
unmount_store
