#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Another program takes all of the host's disk, again and again, also what the reserves give back, until the map itself
# finds no room (its log, or a table that it flushes). Then: nothing more is acknowledged, nobody hangs, reads go on, status
# and the log say what to do; after room was made and the store opened again all that was acknowledged is there, verify is
# clean, and everything goes on.
#
#   tests/crash/full-map.sh [--fs ext4|xfs]      default ext4
# timeout 300
. "$(dirname "$0")/../lib/lib.sh"
kind=ext4 mb=300
while (($#)); do
	case $1 in
	--fs) kind=$2 && shift ;;
	*) fail "unknown option $1" ;;
	esac
	shift
done
requires fuse root cowfs losetup "mkfs.$kind"
status() { cowfs -o json status | json "$1"; }
H=$T/host
mkdir "$H"
truncate -s "${mb}M" "$T/img"
"mkfs.$kind" -q "$T/img" >/dev/null
LOOP=$(losetup -f --show "$T/img")
on_exit "losetup -d $LOOP"
mount "$LOOP" "$H"
on_exit "umount $H || umount -l $H"
chmod 755 "$H"
store_new "$H/store"
mount_store
cowfs -q branch create main --empty >&2
mkdir -p "$M/main/base/1"
dd if=/dev/urandom of="$M/main/base/1/1" bs=1M count=8 conv=fsync status=none
sum=$(sha256sum <"$M/main/base/1/1")

# The others, until told to stop.
: >"$T/eat"
while [[ -e $T/eat ]]; do
	dd if=/dev/zero of="$H/others" bs=64K oflag=append conv=notrunc status=none 2>/dev/null || true
	sleep 0.02
done &
eater=$!
on_exit "kill $eater"
eventually 60 bash -c "(( \$(stat -f -c %a '$H') < 256 ))"
# Names by the thousand from several at once, made durable every now and then: each line of $T/acked was acknowledged.
timeout 120 python3 - "$M/main" "$T/acked" 2>"$T/names.err" <<'PY' && fail "the map never found its disk full"
import os, sys
from concurrent.futures import ThreadPoolExecutor
top, acked = sys.argv[1], open(sys.argv[2], "w")
def fill(thread):
    for n in range(1000):
        name = f"dir{thread}.{n}"
        os.mkdir(f"{top}/{name}")
        fd = os.open(f"{top}/{name}", os.O_RDONLY)
        for k in range(50):
            os.mkdir(f"{top}/{name}/{k}" + "x" * 240)
        os.fsync(fd)
        os.close(fd)
        acked.write(name + "\n")
        acked.flush()
with ThreadPoolExecutor(6) as pool:
    for done in [pool.submit(fill, k) for k in range(6)]:
        done.result()
PY
contains "$(<"$T/names.err")" OSError # an error, and no hang: timeout ends with 124
note "$(wc -l <"$T/acked") directories of 50 were acknowledged, then: $(tail -n 1 "$T/names.err" | cut -c1-60); reserves $(status reserve_map_bytes) $(status reserve_data_bytes), map failed: $(status map_failed)"
same "$(status map_failed)" True "map_failed"
contains "$(tail -n 200 "$H/store/log/cowfs.log")" "make room if the disk is full, then unmount it"
same "$(timeout 20 sha256sum <"$M/main/base/1/1")" "$sum" "a read while the map is closed"
timeout 20 ls "$M/main/$(head -n 1 "$T/acked")" >"$T/ls" || fail "a directory cannot be read while the map is closed"
refused timeout 30 sync "$M/main"
refused timeout 30 "$COWFS" branch create late --parent main
cowfs status >"$T/status" 2>&1 || true
contains "$(<"$T/status")" "map"

rm "$T/eat"
wait "$eater" || true
rm "$H/others"
timeout 60 "$COWFS" unmount --force "$M" >&2 || note "unmount --force: exit $?"
mount_store "$M"
same "$(status map_failed)" False "map_failed after it was opened again"
while read -r n; do
	same "$(ls "$M/main/$n" | wc -l)" 50 "names in $n, all acknowledged"
done <"$T/acked"
same "$(sha256sum <"$M/main/base/1/1")" "$sum" "what was there before"
cowfs -q branch create late --parent main >&2
echo goes on >"$M/late/file"
sync "$M/late/file"
unmount_store
verify_store
