#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# While the fsync of a relation takes long, other requests of the same core are answered (with io_uring one thread
# serves a core), and the mount can be taken away by force.
# timeout 120
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root python3 taskset
export COWFS_TEST_SLOW=$T/slow
cowfs() { LD_PRELOAD=$COWFS_BUILD/tests/lib/slowsync.so "$COWFS" "$@"; }
store_new
mount_store
cowfs -q branch create main --empty >&2
dir=$M/main/base/5
mkdir -p "$dir"
for core in $(seq 0 $(($(nproc) - 1))); do
	taskset -c "$core" python3 - "$dir" "$core" "$COWFS_TEST_SLOW" <<'PY' || fail "core $core"
import os, sys, time
dir, core, slow = sys.argv[1:]
fd = os.open(f"{dir}/16384", os.O_CREAT | os.O_RDWR, 0o600)
os.pwrite(fd, os.urandom(65536), int(core) * 65536)
open(slow, "w").close()
began = time.monotonic()
pid = os.fork()
if pid == 0:
    os.fsync(fd)
    os._exit(0)
time.sleep(0.3)
asked = time.monotonic()
for k in range(200):  # names that nobody knows: each is a request
    os.path.exists(f"{dir}/absent.{core}.{k}")
took = time.monotonic() - asked
assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the fsync had ended: nothing was tested"
assert os.waitpid(pid, 0)[1] == 0
synced = time.monotonic() - began
os.unlink(slow)
print(f"# core {core}: 200 look-ups took {took * 1000:.0f} ms beside an fsync of {synced:.1f} s", file=sys.stderr)
assert took < 1, took
PY
done

note "unmount while one runs: refused; by force nobody hangs, and what was synced before is there"
printf 'synced before' >"$dir/16400"
sync "$dir/16400"
touch "$COWFS_TEST_SLOW"
python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.pwrite(fd, b"x" * 8192, 8192)
os.fsync(fd)' "$dir/16400" 2>/dev/null &
syncing=$!
sleep 0.3
exits 5 cowfs unmount "$M"
exits 0 cowfs unmount "$M" --force
ended() { not_running "$syncing"; }
eventually 10 ended
rm "$COWFS_TEST_SLOW"
mount_store
same "$(head -c 13 "$dir/16400")" "synced before"
verify_store
