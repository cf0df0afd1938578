#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout 3600
# A data directory of very many small files (1 KB each): imported whole, in time that grows with the files and not faster, with
# the memory of the daemon bounded. 30,000 by default, a million (a gigabyte) with --long.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
store_new
mount_store
files=${COWFS_LONG:+1000000}
files=${files:-30000}
pg_init "$T/source" -k
note "$files files of 1 KB"
python3 - "$T/source/base/many" "$files" <<'PY'
import os, sys
top, n = sys.argv[1], int(sys.argv[2])
for k in range(n):
    if k % 1000 == 0:
        d = "%s/%03d" % (top, k // 1000)
        os.makedirs(d)
    with open("%s/%d" % (d, k), "wb") as f:
        f.write((b"%020d" % k) * 51 + b"wxyz")
PY
chown -R postgres "$T/source/base/many"
chmod 700 "$T/source/base/many"
daemon=$(daemon_pid)
resident() { awk '/^RssAnon/ { print $2 }' "/proc/$daemon/status"; }
before=$(resident) began=$SECONDS
cowfs import "$T/source" main >&2
took=$((SECONDS - began)) after=$(resident)
peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$daemon/status")
note "import: $took s, daemon $before -> $after KiB anonymous, peak $peak KiB resident"
# 2,000 files a second on a busy machine; memory does not follow the number of files (256 MiB are RocksDB's own).
at_most "$took" $((20 + files / 1000)) "seconds"
at_most "$after" $((before + 262144)) "KiB of memory"
same "$(find "$M/main/base/many" -type f | wc -l)" "$files"
sample() { (cd "$1/base/many" && find . -name '*7' -type f | sort | head -2000 | xargs cat | cksum); }
same "$(sample "$M/main")" "$(sample "$T/source")" "contents"
branch b
pg_start "$M/b"
same "$(sql "$M/b" 'select 1')" 1
pg_stop "$M/b"
unmount_store
verify_store
