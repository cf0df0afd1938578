#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scan.sh: how fast does the scan for residue read a data directory?
#
#   bench/scan.sh [people: 300000]
#
# A stopped cluster of fakes (addresses of hashes, numbers, texts; 240 MB, all of it in the page cache) and 12,000
# values to look for that are not there, one thread. Three runs; MB of files by the second, by the clock and by the
# processor time of the program (which says more on a busy machine). What detectors find are digits of the hashes.
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lib/lib.sh"
requires root postgres cowfs
people=${1:-300000}
export COWFS_STORE=$T/store
cowfs init "$COWFS_STORE" >&2
pg_init "$T/d"
pg_start "$T/d" -c shared_buffers=256MB -c max_wal_size=4GB -c fsync=off
sql "$T/d" "CREATE TABLE people (id int, name text, email text, phone text, note text, born date);
	INSERT INTO people SELECT i, 'Person Number' || i, 'user_' || md5(i::text) || '@test.example', '+999 170 ' || (1000000 + i), repeat('word' || i || ' ', 25), date '1970-01-01' + i % 18000
	FROM generate_series(1, $people) i;
	ALTER TABLE people ADD PRIMARY KEY (id); CREATE UNIQUE INDEX ON people (email);
	CREATE TABLE orders (id bigint, person int, cents int, comment text);
	INSERT INTO orders SELECT i, 1 + i % $people, i % 10000, 'please ring twice ' || i FROM generate_series(1, $people * 2) i;
	ALTER TABLE orders ADD PRIMARY KEY (id)"
sql "$T/d" "VACUUM FREEZE ANALYZE"
pg_stop "$T/d"
as_pg "$PGBIN/pg_resetwal" "$T/d" >&2
python3 - >"$T/originals" <<'PY'
import hashlib
for i in range(3000):
    h = hashlib.md5(b'%d' % i).hexdigest()
    print(f'email\t{h[:10]}{i}@real-company.com\nname\tMister Original{h[:6]} {i}\nnote\tsomething rather original {h} with {i} words\nphone\t+49 170 {h[:4]} {2000000 + i}')
PY
find "$T/d" -type f -exec cat {} + >/dev/null
TIMEFORMAT='%U %S'
scan() { "$COWFS" golden scan --directory "$T/d" --originals "$T/originals" --fake-domain test.example -j 1 -o json >"$T/found" 2>/dev/null || true; }
for _ in 1 2 3; do
	cpu=$({ time scan; } 2>&1 | awk '{ print $1 + $2 }')
	python3 -c 'import json, sys
r = json.load(open(sys.argv[1]))
print("%d MB, %.0f MB/s by the clock, %.0f MB/s of processor time" % (r["bytes"] / 1e6, r["bytes"] / 1e3 / r["ms"], r["bytes"] / 1e6 / float(sys.argv[2])))' "$T/found" "$cpu"
done
