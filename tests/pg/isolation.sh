#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PostgreSQL's own isolation suite on a plain directory and on a branch: the same result. Sources as in regress.sh.
# long: a download, and two runs of the suite
# timeout 1800
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/pgsource.sh"
requires fuse root postgres apt-get
major=$(basename "$(dirname "$PGBIN")")
tool=/usr/lib/postgresql/$major/lib/pgxs/src/test/isolation/pg_isolation_regress
[[ -x $tool ]] || skip "needs postgresql-server-dev-$major"
pg_source "$T/src" "$major" "$(. /etc/os-release && echo "$VERSION_CODENAME")"
suite=$(dirname "$(find "$T/src" -path '*/src/test/isolation/isolation_schedule')")
[[ -d $suite ]] || fail "no isolation suite in the source package"
chown -R postgres "$T/src"

# run_suite NAME DATADIR: prints the names of failing cases
run_suite() {
	local out=$T/result.$1
	install -d -o postgres "$out"
	pg_start "$2" -c max_prepared_transactions=3 -c fsync=on
	(cd "$out" && as_pg env PGHOST="$(pg_sock "$2")" PGPORT=5432 PGUSER=postgres "$tool" --dbname=isolation --inputdir="$suite" --outputdir="$out" \
		--bindir="$PGBIN" --schedule="$suite/isolation_schedule") >"$T/log.$1" 2>&1 || true
	grep -qE 'tests (passed|failed)' "$T/log.$1" || fail "the suite did not end: $(tail "$T/log.$1")"
	amcheck "$2" isolation
	pg_stop "$2"
	check_stopped "$2"
	grep -E 'FAILED|not ok' "$T/log.$1" | sed -E 's/[0-9]+ ms.*//; s/^(test| |not ok [0-9]+ *[-+])* *//; s/ +.*//' | sort || true
	note "$1: $(grep -E 'tests (passed|failed)' "$T/log.$1" | tail -1)"
}
pg_init "$T/plain" -k --no-locale
store_new
mount_store
cowfs import "$T/plain" main >&2
branch b
run_suite plain "$T/plain" >"$T/plain.failed"
run_suite branch "$M/b" >"$T/branch.failed"
same "$(<"$T/branch.failed")" "$(<"$T/plain.failed")" "failing cases on the branch, against a plain directory"
(($(wc -l <"$T/plain.failed") <= 5)) || fail "too many cases fail even on a plain directory: $(tr '\n' ' ' <"$T/plain.failed")"
verify_store
