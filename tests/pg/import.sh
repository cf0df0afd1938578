#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What cowfs import takes, what it refuses, and that the original stays as it was.
. "$(dirname "$0")/../lib/lib.sh"
requires root fuse postgres python3

sum_of() { (cd "$1" && find . -type f | sort | xargs -d '\n' md5sum | md5sum); }
ask() { cowfs psql "$1" -- -XAt -c "$2"; }
sql() { psql -Xq -h "$(pg_sock "$1")" -p 5432 -U postgres -v ON_ERROR_STOP=1 -c "$2" >&2; }

chown postgres "$T"
store_new
mount_store
on_exit 'for b in $(cowfs -q branch list); do cowfs stop "$b" -m immediate; done'

note "a cluster with a tablespace, a linked pg_wal, and a prepared transaction"
install -d -o postgres -m 700 "$T/ts" "$T/wal"
pg_init "$T/a" -X "$T/wal/a"
pg_start "$T/a" -c max_prepared_transactions=7 -c max_connections=60
sql "$T/a" "create tablespace t location '$T/ts'"
sql "$T/a" "create table x tablespace t as select generate_series(1, 1000) g"
printf '%s\n' 'begin;' 'insert into x values (0);' "prepare transaction 'p1';" |
	psql -Xq -h "$(pg_sock "$T/a")" -U postgres >&2

note "a running server is refused, with the way out"
exits 5 cowfs import "$T/a" running
contains "$err" "$(pg_pid "$T/a")"
contains "$err" pg_basebackup
exits 3 cowfs branch get running

note "base backups: plain, tar with tablespace_map, a standby"
as_pg "$PGBIN/pg_basebackup" -h "$(pg_sock "$T/a")" -D "$T/plain" -c fast -T "$T/ts=$T/plain.ts"
as_pg "$PGBIN/pg_basebackup" -h "$(pg_sock "$T/a")" -D "$T/tar" -c fast -Ft
install -d -o postgres -m 700 "$T/tar.d" "$T/tar.ts"
oid=$(basename "$T"/a/pg_tblspc/*)
as_pg tar xf "$T/tar/base.tar" -C "$T/tar.d"
as_pg tar xf "$T/tar/pg_wal.tar" -C "$T/tar.d/pg_wal"
as_pg tar xf "$T/tar/$oid.tar" -C "$T/tar.ts"
echo "$oid $T/tar.ts" >"$T/tar.d/tablespace_map"
as_pg "$PGBIN/pg_basebackup" -h "$(pg_sock "$T/a")" -D "$T/standby" -c fast -R -T "$T/ts=$T/standby.ts"
sql "$T/a" 'insert into x select generate_series(2001, 3000)'
pg_start "$T/standby" -c max_prepared_transactions=7 -c max_connections=60
eventually 20 bash -c "[ \"\$(psql -XAt -h '$(pg_sock "$T/standby")' -U postgres -c 'select count(*) from x')\" = 2000 ]"
as_pg "$PGBIN/pg_basebackup" -h "$(pg_sock "$T/standby")" -D "$T/of-standby" -c fast -T "$T/standby.ts=$T/of-standby.ts"
pg_stop "$T/standby"
pg_stop "$T/a"

before=$(sum_of "$T/a")
cowfs import "$T/a" main >&2
same "$(sum_of "$T/a")" "$before" "bytes of the original"
cowfs start main >&2
same "$(ask main 'select count(*) from x')" 2000 "rows of the tablespace"
same "$(ask main 'select gid from pg_prepared_xacts')" p1 "prepared transaction"
same "$(ask main 'show max_connections')" 60 "limit of the source"
[[ -d $M/main/pg_wal && ! -L $M/main/pg_wal ]] || fail "pg_wal is no directory of the branch"

note "the tablespace is the branch's own, and pg_basebackup of a branch has it"
cowfs branch create child --parent main >&2
cowfs start child >&2
ask child 'delete from x' >&2
same "$(ask main 'select count(*) from x')" 2000 "rows of the parent"
as_pg "$PGBIN/pg_basebackup" -h "$(cowfs -o json url main | json socket_dir)" \
	-p "$(cowfs -o json url main | json port)" -U postgres -D "$T/again" -c fast
[[ -n $(find "$T/again/pg_tblspc/" -name 'PG_*' -print -quit) ]] || fail "the base backup has no tablespace"
cowfs stop child >&2
cowfs stop main >&2

for from in plain tar.d; do
	cowfs import "$T/$from" "backup/$from" >&2
	cowfs start "backup/$from" >&2
	same "$(ask "backup/$from" 'select count(*) from x')" 1000 "rows of the backup $from"
	cowfs stop "backup/$from" >&2
done
note "a standby, and a base backup that was taken from one while it ran"
for from in standby of-standby; do
	cowfs import "$T/$from" "$from" >&2
	cowfs start "$from" >&2
	same "$(ask "$from" 'select pg_is_in_recovery()')" f "$from is a server of its own"
	same "$(ask "$from" 'select count(*) from x')" 2000 "rows of $from"
	cowfs stop "$from" >&2
done

note "Debian: the configuration is elsewhere"
pg_init "$T/deb"
install -d -o postgres "$T/etc" "$T/etc/conf.d"
mv "$T/deb/postgresql.conf" "$T/deb/pg_hba.conf" "$T/deb/pg_ident.conf" "$T/etc/"
cat >>"$T/etc/postgresql.conf" <<CONF
data_directory = '$T/deb'
hba_file = '$T/etc/pg_hba.conf'
external_pid_file = '$T/pid'
include_dir = 'conf.d'
include_if_exists = '$T/etc/more.conf'
archive_mode = on
archive_command = 'touch $T/archived'
shared_preload_libraries = 'not_there'
log_directory = '$T'
synchronous_standby_names = 'nobody'
CONF
echo 'work_mem = 7MB' >"$T/etc/conf.d/a.conf"
printf '%s "-D" "%s" "-c" "config_file=%s"\n' "$PGBIN/postgres" "$T/deb" "$T/etc/postgresql.conf" >"$T/deb/postmaster.opts"
before=$(sum_of "$T/deb")$(sum_of "$T/etc")
cowfs import "$T/deb" deb >&2
same "$(sum_of "$T/deb")$(sum_of "$T/etc")" "$before" "bytes of cluster and configuration"
cowfs start deb >&2
same "$(ask deb 'show work_mem')" 7MB "setting from conf.d"
same "$(ask deb 'show data_directory')" "$M/deb" "data directory"
same "$(ask deb 'show hba_file')" "$M/deb/pg_hba.conf" "hba file"
ask deb 'create table y as select 1' >&2
ask deb 'select pg_switch_wal()' >&2
cowfs stop deb >&2
[[ ! -e $T/archived && ! -e $T/pid ]] || fail "the branch wrote outside of itself"

note "started by hand, without cowfs, it is as harmless"
pg_start "$M/deb"
same "$(psql -XAt -h "$(pg_sock "$M/deb")" -U postgres -c 'show archive_mode' -c 'show fsync' | tr '\n' ' ')" "off on "
pg_stop "$M/deb"

note "--move takes the files, all or nothing"
cp -a "$T/plain" "$T/mv"
rm "$T/mv/pg_tblspc/$oid"
cp -a "$T/plain.ts" "$T/mv.ts"
ln -s "$T/mv.ts" "$T/mv/pg_tblspc/$oid"
ln -s /nonexistent "$T/mv/pg_xact/dangling"
before=$(sum_of "$T/mv")$(sum_of "$T/mv.ts")$(find "$T/mv" -type f -printf '%p %u %m %s %T@\n' | sort | md5sum)
refused cowfs import "$T/mv" mv --move
same "$(sum_of "$T/mv")$(sum_of "$T/mv.ts")$(find "$T/mv" -type f -printf '%p %u %m %s %T@\n' | sort | md5sum)" \
	"$before" "original after a failed move"
rm "$T/mv/pg_xact/dangling"
cowfs import "$T/mv" mv --move >&2
same "$(find "$T/mv" -mindepth 1 | wc -l)" 0 "files left behind"
cowfs start mv >&2
same "$(ask mv 'select count(*) from x')" 1000 "rows after the move"
cowfs stop mv >&2

note "what is refused"
exits 3 cowfs import "$T/none" a
exits 3 cowfs import "$T/etc" a
exits 5 cowfs import "$T/a" main
exits 2 cowfs import "$M/main" a
cp -a "$T/deb" "$T/bad"
printf 'x' | dd of="$T/bad/global/pg_control" bs=1 seek=50 conv=notrunc status=none
exits 8 cowfs import "$T/bad" a
contains "$err" pg_control
for v in 11 19 9.6 x; do
	echo $v >"$T/bad/PG_VERSION"
	exits 2 cowfs import "$T/bad" a
	contains "$err" "12 to 18"
done
exits 3 cowfs branch get a
cowfs verify >&2
