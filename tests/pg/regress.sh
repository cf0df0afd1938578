#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PostgreSQL's own regression suite on a plain directory and on a branch: the same result.
# Its SQL comes from Debian's source package, through a private apt configuration: the machine's own is not changed. The
# server is the installed one; where its minor version is newer than the sources, a few cases differ, on both alike.
# long: a download, and two runs of the suite
# timeout 1800
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres gcc apt-get
major=$(basename "$(dirname "$PGBIN")")
tool=/usr/lib/postgresql/$major/lib/pgxs/src/test/regress/pg_regress
[[ -x $tool && -d $("$PGBIN/pg_config" --includedir-server) ]] || skip "needs postgresql-server-dev-$major"

# fetch_source DIR: unpack the source package of postgresql-$major there.
fetch_source() {
	local uri suite apt=$T/apt
	uri=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -1 | cut -d' ' -f1)
	[[ -n $uri ]] || uri=$(sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | head -1)
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	[[ -n $uri ]] || skip "no package source configured"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$1"
	printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' "$uri" "$suite" >"$apt/only.sources"
	local options=(-o Dir::Etc::sourcelist="$apt/only.sources" -o Dir::Etc::sourceparts=- -o Dir::State::Lists="$apt/lists"
		-o Dir::Cache="$apt/cache" -o Dir::State::status=/dev/null -o Acquire::Languages=none -o APT::Sandbox::User=root)
	apt-get "${options[@]}" -qq update >"$T/apt.log" 2>&1 || skip "the source package cannot be had: $(tail -1 "$T/apt.log")"
	(cd "$1" && apt-get "${options[@]}" -qq source --download-only "postgresql-$major" >"$T/apt.log" 2>&1) ||
		skip "the source package cannot be had: $(tail -1 "$T/apt.log")"
	tar -xf "$1"/postgresql-"$major"_*.orig.tar.* -C "$1"
}
fetch_source "$T/src"
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
