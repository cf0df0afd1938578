#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PostgreSQL's own regression suite on a plain directory and on a branch: the same result.
# Its SQL comes from Debian's source package, through a private apt configuration: the machine's own is not changed. The
# server is the installed one; where its minor version is newer than the sources, a few cases differ, on both alike.
# long: a download, and two runs of the suite
# timeout 1800
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/pgsource.sh"
requires fuse root postgres gcc apt-get
major=$(basename "$(dirname "$PGBIN")")
tool=/usr/lib/postgresql/$major/lib/pgxs/src/test/regress/pg_regress
[[ -x $tool && -d $("$PGBIN/pg_config" --includedir-server) ]] || skip "needs postgresql-server-dev-$major"

pg_source "$T/src" "$major" "$(. /etc/os-release && echo "$VERSION_CODENAME")"
suite=$(dirname "$(find "$T/src" -path '*/src/test/regress/parallel_schedule')")
[[ -d $suite ]] || fail "no regression suite in the source package"
chown -R postgres "$T/src"
gcc -O2 -fPIC -shared -I"$("$PGBIN/pg_config" --includedir-server)" -o "$suite/regress.so" "$suite/regress.c" || fail "regress.so does not build"

# run_suite NAME DATADIR: prints the names of failing cases
run_suite() {
	local out=$T/result.$1
	install -d -o postgres "$out"
	pg_start "$2" -c max_prepared_transactions=4 -c fsync=on
	(cd "$out" && as_pg env PGHOST="$(pg_sock "$2")" PGPORT=5432 PGUSER=postgres "$tool" --use-existing --dbname=regression --inputdir="$suite" \
		--outputdir="$out" --dlpath="$suite" --bindir="$PGBIN" --schedule="$suite/parallel_schedule" --max-connections=10) >"$T/log.$1" 2>&1 || true
	grep -qE 'tests (passed|failed)' "$T/log.$1" || fail "the suite did not end: $(tail "$T/log.$1")"
	amcheck "$2" regression
	pg_stop "$2"
	check_stopped "$2"
	grep -E 'FAILED|not ok' "$T/log.$1" | sed -E 's/[0-9]+ ms.*//; s/^(test| |not ok [0-9]+ *[-+])* *//; s/ +.*//' | sort
	note "$1: $(grep -E 'tests (passed|failed)' "$T/log.$1" | tail -1)"
}
prepare() {
	pg_start "$1"
	sql "$1" "create database regression template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'"
	for s in "lc_messages 'C'" "lc_monetary 'C'" "lc_numeric 'C'" "lc_time 'C'" "timezone_abbreviations 'Default'"; do
		sql "$1" "alter database regression set ${s/ / to }"
	done
	pg_stop "$1"
}
pg_init "$T/plain" -k --no-locale
prepare "$T/plain"
store_new
mount_store
cowfs import "$T/plain" main >&2
branch b
run_suite plain "$T/plain" >"$T/plain.failed"
run_suite branch "$M/b" >"$T/branch.failed"
same "$(<"$T/branch.failed")" "$(<"$T/plain.failed")" "failing cases on the branch, against a plain directory"
(($(wc -l <"$T/branch.failed") <= 12)) || fail "too many cases fail even on a plain directory: $(tr '\n' ' ' <"$T/plain.failed")"
verify_store
