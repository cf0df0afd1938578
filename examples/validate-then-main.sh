#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# validate-then-main: a migration is rehearsed on a fresh branch of the present main, then applied to main itself.
#
#   examples/validate-then-main.sh check MAIN FILE.sql [DATABASE]    run it on a copy; say what it did to whom
#   examples/validate-then-main.sh apply MAIN FILE.sql [DATABASE]    check, snapshot, run it on MAIN
#
# Shown: how long it took, the strongest lock it held on each table when it was done, tables that were rewritten with their
# size, bytes of WAL. REFUSE_REWRITE_OVER (bytes, default none): a larger table that is rewritten stops it there.
# The file runs in one transaction, so a failure changes nothing; the snapshot is for second thoughts (what cannot, such as CREATE INDEX CONCURRENTLY, needs another way).
set -euo pipefail

verb=${1:?check or apply} main=${2:?a branch} file=${3:?a file of SQL} database=${4:-postgres}
branch=check/$(basename "$file" .sql | tr -cd 'a-zA-Z0-9_.')-$$-$RANDOM

on() { cowfs psql "$1" -d "$database" -- -XqAt -v ON_ERROR_STOP=1 "${@:2}"; }
forget() { cowfs stop "$branch" -m immediate && cowfs branch delete --yes "$branch"; }

# What is rewritten gets another file; the list is kept in the branch itself, which goes afterwards.
before="create schema cowfs_check; create table cowfs_check.files as select c.oid, pg_relation_filenode(c.oid) as file,
	pg_total_relation_size(c.oid) as bytes, c.reltuples::bigint as rows from pg_class c join pg_namespace n on n.oid = relnamespace
	where relkind in ('r', 'm') and nspname !~ '^pg_' and nspname not in ('information_schema', 'cowfs_check')"
locks="select 'lock ' || max(mode) filter (where strength = strongest) || ' on ' || relation from (
	select relation::regclass, mode, s.strength, max(s.strength) over (partition by relation) as strongest
	from pg_locks join unnest(array['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock',
		'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock']) with ordinality s(name, strength) on name = mode
	join pg_class c on c.oid = relation join pg_namespace n on n.oid = relnamespace
	where pid = pg_backend_pid() and granted and relkind in ('r', 'p', 'm') and nspname !~ '^pg_' and nspname <> 'cowfs_check'
	and c.oid in (select oid from cowfs_check.files)) l where strength >= 4 group by relation order by 1;"
rewritten="select 'rewritten ' || oid::regclass || ': ' || pg_size_pretty(bytes) || ', about ' || greatest(rows, 0) || ' rows'
	from cowfs_check.files f where pg_relation_filenode(oid) <> file and exists (select from pg_class c where c.oid = f.oid) order by bytes desc"

check() {
	local lsn start said
	cowfs branch create "$branch" --parent "$main" --ttl 1h >/dev/null
	trap 'forget >/dev/null 2>&1' EXIT
	cowfs start "$branch" >/dev/null
	on "$branch" -c "$before"
	lsn=$(on "$branch" -c 'select pg_current_wal_insert_lsn()')
	start=$(date +%s%N)
	# One psql, one transaction: the file, then the locks it still holds.
	said=$({ cat "$file" && printf '\n;\n%s\n' "$locks"; } | on "$branch" -1 -P pager=off -f -) ||
		{ echo "the migration fails on a fresh branch of $main; nothing was applied" >&2 && exit 1; }
	echo "time $((($(date +%s%N) - start) / 1000000)) ms"
	grep '^lock ' <<<"$said" || true
	on "$branch" -c "$rewritten"
	echo "wal $(on "$branch" -c "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '$lsn')::bigint") bytes"
	if [[ -n ${REFUSE_REWRITE_OVER:-} ]]; then
		[[ $(on "$branch" -c "select coalesce(max(bytes), 0) > $((REFUSE_REWRITE_OVER)) from cowfs_check.files
			where pg_relation_filenode(oid) <> file") == f ]] || { echo "a table of over $REFUSE_REWRITE_OVER bytes is rewritten" >&2 && exit 1; }
	fi
}

apply() {
	local point
	point=before-$(basename "$file" .sql | tr -cd 'a-zA-Z0-9_.')-$$
	cowfs snapshot create "$main" "$point" >/dev/null
	echo "snapshot $main@$point"
	on "$main" -1 -f - <"$file" >/dev/null
	echo "applied to $main"
}

case $verb in
check) check ;;
apply) check; apply ;;
*) echo "check or apply, not $verb" >&2 && exit 2 ;;
esac
