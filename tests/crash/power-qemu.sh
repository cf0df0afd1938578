#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Power loss once more, recorded by somebody else: the host's ext4 lies on a disk that QEMU's storage daemon exports and
# logs block by block (driver blklogwrites). Nothing of cowfs is interposed, and the journal of the host takes part. At each
# cut the disk is rebuilt: all up to the last flush, and any part of what came after. Then the host is mounted (its journal is
# replayed), verify is clean, postgres recovers, every commit and snapshot that was answered before is there, sums agree.
#
#   tests/crash/power-qemu.sh [--cuts N] [--seconds N] [--seed N]    default 20 cuts, 10 seconds
#
# The oracle: how many entries the log had when the answer came. What of a disk's own cache a flush leaves out is not imitated.
# long: needs qemu-system-common or qemu-utils (qemu-storage-daemon), minutes
# timeout 1800
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres cowfs losetup mkfs.ext4 qemu-storage-daemon
cuts=20 seconds=10 seed=$RANDOM
while (($#)); do
	case $1 in
	--cuts) cuts=$2 && shift ;;
	--seconds) seconds=$2 && shift ;;
	--seed) seed=$2 && shift ;;
	*) fail "unknown option $1" ;;
	esac
	shift
done
RANDOM=$((seed % 32768))
LOG=$T/log MB=1024
entries() { od -An -tu8 -j16 -N8 "$LOG" | tr -d ' '; }

# --- a disk that remembers in which order it was written ---

truncate -s "${MB}M" "$T/disk"
truncate -s 16G "$LOG"
: >"$T/export"
qemu-storage-daemon \
	--blockdev "driver=file,node-name=disk,filename=$T/disk" --blockdev "driver=file,node-name=log,filename=$LOG" \
	--blockdev "driver=blklogwrites,node-name=logged,file=disk,log=log,log-sector-size=4096,log-super-update-interval=1" \
	--export "type=fuse,id=out,node-name=logged,mountpoint=$T/export,writable=on" </dev/null >"$T/qemu" 2>&1 &
qemu=$!
on_exit "kill $qemu; wait $qemu"
eventually 20 grep -q " $T/export fuse" /proc/self/mounts
H=$T/host
mkdir "$H"
# host_mount FILE, host_umount: an ext4 in a file, at $H.
host_mount() {
	loop=$(losetup -f --show "$1")
	on_exit "losetup -d $loop"
	mount "$loop" "$H" || fail "the host's file system cannot be mounted"
	on_exit "umount $H || umount -l $H"
}
host_umount() {
	eventually 20 umount "$H"
	losetup -d "$loop"
}
mkfs.ext4 -q -E nodiscard,lazy_itable_init=0 "$T/export" >"$T/mkfs" 2>&1 || fail "mkfs: $(<"$T/mkfs")"
host_mount "$T/export"
chmod 755 "$H"

# --- the recording ---

pg_init_bank "$T/source" 1 "create table acked(n int primary key)" 'checkpoint_timeout = 30s'
store_new "$H/store"
mount_store
cowfs -q import "$T/source" main >&2
pg_start "$M/main"
first=$(entries)
# One commit after the other; each with the entries that the log had once it was answered.
timeout $((seconds + 60)) python3 - "$LOG" "$T/acks" "$seconds" runuser -u postgres -- "$PGBIN/psql" -h "$(pg_sock "$M/main")" -U postgres \
	-XAtq -v ON_ERROR_STOP=1 postgres <<'PY' &
import struct, subprocess, sys, time
log, acks = open(sys.argv[1], "rb", buffering=0), open(sys.argv[2], "w")
psql = subprocess.Popen(sys.argv[4:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
end, n = time.monotonic() + float(sys.argv[3]), 0
while time.monotonic() < end:
    n += 1
    psql.stdin.write(f"insert into acked values ({n}) returning n;\n")
    assert psql.stdout.readline() == f"{n}\n"
    log.seek(16)
    acks.write(f"{n} {struct.unpack('<Q', log.read(8))[0]}\n")
psql.stdin.close()
assert psql.wait() == 0
PY
acker=$!
pg_client_background "$M/main" "$T/bench" pgbench -n -c 2 -R 200 -T "$seconds" postgres
bench=$client
k=0
while kill -0 "$acker" 2>/dev/null; do
	k=$((k + 1))
	cowfs -q snapshot create main "s$k" >&2
	echo "s$k $(entries)" >>"$T/points"
	case $((k % 4)) in
	1) cowfs -q branch create "b$k" --parent main ;;
	2) cowfs -q branch delete --yes "b$((k - 1))" ;;
	3) cowfs -q gc ;;
	esac >&2
	sleep 0.2
done
wait "$acker" || fail "the commits were not answered"
wait "$bench" || true
last=$(entries)
pg_stop "$M/main"
unmount_store
host_umount
note "recorded: $((last - first)) writes and flushes, $(wc -l <"$T/acks") acknowledged commits, $k snapshots"

# --- the cuts ---

one_cut() {
	local cut=$1 line wanted got name
	rm -f "$T/cut"
	truncate -s "${MB}M" "$T/cut"
	line="cut $2 (seed $seed): $(python3 "$TESTS/lib/blklog.py" "$LOG" build "$T/cut" "$cut" $((seed + $2)))"
	host_mount "$T/cut"
	cowfs verify >"$T/verify" 2>&1 || fail "$line: cowfs verify: $(tail -n 20 "$T/verify")"
	mount_store
	cowfs -q snapshot list main >"$T/list"
	while read -r name; do
		grep -qE "(^|@)$name( |\$)" "$T/list" || fail "$line: snapshot $name is missing"
	done < <(awk -v c="$cut" '$2 <= c { print $1 }' "$T/points")
	rm -f "$M/main/postmaster.pid"
	pg_start "$M/main"
	wanted=$(awk -v c="$cut" '$2 <= c { n = $1 } END { print n + 0 }' "$T/acks")
	got=$(sql "$M/main" "select count(*), coalesce(max(n), 0) from acked")
	[[ ${got%|*} == "${got#*|}" ]] || fail "$line: ${got%|*} commits, but the last is ${got#*|}"
	((${got%|*} >= wanted)) || fail "$line: $wanted commits were acknowledged, ${got%|*} are there"
	same "$(pgbench_sums "$M/main")" t "$line: sums"
	amcheck "$M/main"
	pg_stop "$M/main"
	check_stopped "$M/main"
	unmount_store
	host_umount
}
for ((c = 1; c <= cuts; c++)); do
	one_cut $((first + 1 + (RANDOM * 32768 + RANDOM) % (last - first))) "$c"
done
note "$cuts cuts, nothing acknowledged was missing (seed $seed)"
