#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The residue scan finds an original in each place where PostgreSQL keeps bytes: one case for each.
# That they are gone from a published image is in golden-publish.sh.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/residue.sh"
requires root postgres cowfs

pg_init "$T/d"
pg_start "$T/d" "${plant_settings[@]}"
plant "$T/d"
exits 8 cowfs golden scan --directory "$T/d" --originals "$T/originals" --fake-domain test.example -o json
printf '%s' "$out" >"$T/hits.json"

# found NAME FILE PLACE [COUNT]: a hit of this original in a file and place that match these patterns.
cat >"$T/found.py" <<'PY'
import fnmatch, json, sys
hits = json.load(open(sys.argv[1]))["hits"]
name, file, place = sys.argv[2:5]
n = sum(h["count"] for h in hits if h["kind"] == "original" and h["what"].startswith("values.%s " % name)
        and fnmatch.fnmatch(h["file"], file) and fnmatch.fnmatch(h["place"], place))
if n < (int(sys.argv[5]) if len(sys.argv) > 5 else 1):
    print("%d hits of %s in %s, %s; what there is:" % (n, name, file, place))
    for h in hits:
        if h["what"].startswith("values.%s " % name):
            print(h)
    sys.exit(1)
PY
cases=0
found() {
	cases=$((cases + 1))
	if python3 "$T/found.py" "$T/hits.json" "$@" >"$T/.why"; then
		echo "ok $cases - $1 is found in $3"
	else
		echo "not ok $cases - $1 is found in $3"
		sed 's/^/# /' "$T/.why"
		bad=1
	fi
}
bad=0
found dead_tuple 'base/*' plain
found wide_characters 'base/*' plain
found toast_plain 'base/*' TOAST
found toast_pglz 'base/*' 'TOAST, compressed'
found toast_lz4 'base/*' 'TOAST, compressed'
found inline_pglz 'base/*' 'compressed in a tuple'
found index_page 'base/*' plain 2 # the table, and the index with another case
found statistics 'base/*' '*' 501 # the table, and pg_statistic
found wal_message 'pg_wal/*' WAL 3000 # also each one that a page header cuts
found image_pglz 'pg_wal/*' 'WAL, compressed page image'
found image_lz4 'pg_wal/*' 'WAL, compressed page image'
found image_zstd 'pg_wal/*' 'WAL, compressed page image'
found toast_pglz 'pg_wal/*' 'WAL, compressed TOAST'
found toast_lz4 'pg_wal/*' 'WAL, compressed TOAST'
found old_file 'base/*/98765' plain 10
found server_log 'log/*' plain
found sort_spill 'base/pgsql_tmp/*' plain
found sort_spill 'base/pgsql_tmp/*' 'sort tape'
found large_object 'base/*' TOAST
found configuration postgresql.auto.conf plain

# check WORDS COMMAND...
check() {
	cases=$((cases + 1))
	if "${@:2}"; then echo "ok $cases - $1"; else echo "not ok $cases - $1" && bad=1; fi
}
no_value() { ! grep -qF planted.org "$T/hits.json"; }
check "no original is part of what is printed" no_value
detected() { python3 -c 'import json, sys; sys.exit(json.load(open(sys.argv[1]))["detected"] == 0)' "$T/hits.json"; }
check "detectors find the addresses without being given any" detected
quiet() { cowfs golden scan --directory "$T/d" --no-detectors >/dev/null; }
check "without originals and detectors nothing is found" quiet
damaged() {
	printf 'garbage' | dd of="$T/d/base/pgsql_tmp/cut" bs=1 status=none
	head -c 70000 /dev/urandom >"$T/d/base/1/77777"
	head -c 300000 /dev/urandom >"$T/d/pg_wal/0000000100000000000000F0"
	! cowfs golden scan --directory "$T/d" --originals "$T/originals" -q >/dev/null 2>&1
}
check "damaged files are read like others" damaged
unreadable() { exits 3 cowfs golden scan --directory "$T/nothing" && contains "$err" "cannot"; }
check "a directory that cannot be read proves nothing" unreadable
echo "1..$cases"
exit $bad
