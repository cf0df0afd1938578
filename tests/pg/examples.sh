#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The scripts of examples/ do what they say.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
examples=$(cd "$(dirname "$0")/../../examples" && pwd)
import_main
PATH=$(dirname "$COWFS"):$PGBIN:$PATH
command -v cowfs >/dev/null || fail "no cowfs in PATH"
on_exit 'for b in $(cowfs branch list -q 2>/dev/null); do cowfs stop "$b" -m immediate; done >/dev/null 2>&1'

# preview-branch: a second open is the same database, a second close is no error.
url=$("$examples/preview-branch.sh" open 42)
contains "$url" postgresql://
psql -Xqc 'create table kept(x int)' "$url"
same "$("$examples/preview-branch.sh" open 42)" "$url"
same "$(psql -XAtc "select to_regclass('kept') is not null" "$url")" t
"$examples/preview-branch.sh" close 42
"$examples/preview-branch.sh" close 42
exits 2 "$examples/preview-branch.sh" open '42; true'

# time-travel: a statement that fails leaves the branch as it was, and the broken state beside it.
cowfs start main >&2
url=$(cowfs url main)
psql -Xqc 'create table orders as select generate_series(1, 10) id' "$url"
"$examples/time-travel.sh" main 'delete from orders where id > 5'
same "$(psql -XAtc 'select count(*) from orders' "$url")" 5
exits 1 "$examples/time-travel.sh" main 'delete from orders where id = 1; select 1/0'
same "$(psql -XAtc 'select count(*) from orders' "$url")" 5
contains "$(cowfs branch list -q)" main-broken

# branch-per-test: no test sees another's rows, and nothing stays.
"$examples/branch-per-test.sh" \
	'psql -Xqc "delete from orders" "$DATABASE_URL"' \
	'[ "$(psql -XAtc "select count(*) from orders" "$DATABASE_URL")" = 5 ]' || fail "a test of its own database failed"
lacks "$(cowfs branch list -q)" test/
cowfs stop main >&2
