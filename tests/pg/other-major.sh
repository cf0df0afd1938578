#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# long: a download and four minutes of compiling
# timeout 2400
# A newer major of PostgreSQL than the installed one, built from Debian's source package (COWFS_OTHER_MAJOR, default 18): import
# with and without checksums, a branch of the running server, a migration, crash and recovery, snapshot and restore.
# COWFS_OTHER_PREFIX: where such a build is kept or was kept (default: made anew, and removed with the test).
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/pgsource.sh"
requires fuse root postgres gcc make bison flex perl apt-get
major=${COWFS_OTHER_MAJOR:-18}
prefix=${COWFS_OTHER_PREFIX:-$T/pg}
if [[ ! -x $prefix/bin/postgres ]]; then
	pg_source "$T/src" "$major" trixie forky sid
	src=$(dirname "$(find "$T/src" -maxdepth 2 -name configure)")
	note "building $(basename "$src")"
	(
		cd "$src"
		./configure --prefix="$prefix" --without-icu --without-readline CFLAGS=-O1
		make -s -j"$(nproc)"
		make -s install
		make -s -C contrib/amcheck install
	) >"$T/make.log" 2>&1 || fail "it does not build: $(tail -n 20 "$T/make.log")"
fi
PGBIN=$prefix/bin
as_pg "$PGBIN/postgres" --version >&2 || fail "the user postgres cannot run $PGBIN/postgres"
contains "$("$PGBIN/postgres" --version)" "PostgreSQL) $major"
store_new
mount_store
on_exit 'for b in $(cowfs -q branch list); do cowfs stop "$b" -m immediate; done'
ask() { "$PGBIN/psql" "$(cowfs url "$1")" -XAtq -v ON_ERROR_STOP=1 -c "$2" </dev/null; }
up() { cowfs start "$1" --bindir "$PGBIN" >&2; }

for sums in --data-checksums --no-data-checksums; do
	base=pg$major$sums
	note "$base"
	pg_init "$T/source" $sums
	pg_start "$T/source"
	sql "$T/source" "create table customers as select g as id, 'c' || g as name from generate_series(1, 20000) g"
	pg_stop "$T/source"
	cowfs import "$T/source" "$base" >&2
	rm -rf "$T/source"
	up "$base"
	same "$(ask "$base" 'select count(*) from customers')" 20000
	contains "$(ask "$base" 'show server_version')" "$major"
	same "$(ask "$base" 'show data_checksums')" "$([[ $sums == --no* ]] && echo off || echo on)"
	# A branch of the running server, which recovers.
	ask "$base" 'insert into customers values (0, $$late$$)' >&2
	cowfs branch create "work/$base" --parent "$base" >&2
	up "work/$base"
	same "$(ask "work/$base" 'select count(*) from customers')" 20001
	ask "work/$base" "create table organizations(id int primary key); insert into organizations values (1);
		alter table customers add column org_id int references organizations; update customers set org_id = 1; alter table customers alter org_id set not null" >&2
	same "$(ask "$base" "select count(*) from information_schema.columns where table_name = 'customers'")" 2 "columns of the parent"
	# A crash, and back to a snapshot.
	cowfs snapshot create "work/$base" migrated >&2
	ask "work/$base" 'delete from customers' >&2
	cowfs stop "work/$base" -m immediate >&2
	up "work/$base"
	same "$(ask "work/$base" 'select count(*) from customers')" 0 "rows after the crash"
	cowfs stop "work/$base" >&2
	cowfs branch restore "work/$base" migrated --yes >&2
	up "work/$base"
	same "$(ask "work/$base" 'select count(org_id) from customers')" 20001 "rows of the snapshot"
	"$PGBIN/pg_amcheck" --heapallindexed --install-missing -h 127.0.0.1 -p "$(cowfs -o json url "work/$base" | json port)" -U postgres -d postgres >&2
	cowfs stop "work/$base" >&2
	cowfs stop "$base" >&2
	[[ $sums == --no* ]] || check_stopped "$M/work/$base"
done
verify_store
