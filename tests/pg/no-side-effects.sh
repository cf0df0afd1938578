#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout 400
# A fork of production changes nothing outside itself: the publisher of its subscription, the archive of its WAL, the
# servers its user mappings know. Production here is a server that subscribes to a second one and archives.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
P=$T/publisher S=$T/source A=$T/archive
cron=
[[ -f $PGBIN/../lib/pg_cron.so ]] && cron=pg_cron
install -d -o postgres "$A"

pg_init "$P"
pg_start "$P" -c wal_level=logical -c log_replication_commands=on -c log_connections=on
sql "$P" "create table t(id int primary key); insert into t select generate_series(1, 100); create publication p for table t"
address="host=$(pg_sock "$P") port=5432 user=postgres dbname=postgres password=secret"

pg_init "$S"
cat >>"$S/postgresql.conf" <<-CONF
	archive_mode = on
	archive_command = 'cp %p $A/%f'
	wal_level = logical
	shared_preload_libraries = '$cron'
	$([[ -z $cron ]] || echo 'cron.use_background_workers = on')
CONF
pg_start "$S"
sql "$S" "create table t(id int primary key)"
sql "$S" "create subscription s connection '$address' publication p with (slot_name = production)"
sql "$S" "create extension postgres_fdw; create server far foreign data wrapper postgres_fdw options (host '/x', dbname 'd');
	create user mapping for postgres server far options (user 'u', password 'secret');
	create role app login password 'old'; create role nobody login"
sql "$S" "create database second"
sql "$S" "create extension dblink; create server far2 foreign data wrapper dblink_fdw options (host '/x');
	create user mapping for public server far2 options (user 'u', password 'secret')" second
[[ -z $cron ]] || sql "$S" "create extension pg_cron; select cron.schedule('* * * * *', 'create table if not exists ran()')"

rows() { sql "$1" "select count(*) from t"; }
has_rows() { [[ $(rows "$1") == "$2" ]]; }
# What the outside sees: the slots, who streams, what was archived.
slots() { sql "$P" "select slot_name, active from pg_replication_slots order by 1"; }
streams() { pg_log "$P" | grep -c 'replication connection authorized' || true; }
eventually 60 has_rows "$S" 100
pg_stop "$S"

store_new
mount_store
cowfs import "$S" main >&2
# Production goes on.
pg_start "$S"
sql "$P" "insert into t values (101)"
eventually 30 has_rows "$S" 101
sql "$S" "select pg_switch_wal()" >&2
archived() { [[ $(sql "$S" "select last_archived_wal is not null from pg_stat_archiver") == t ]]; }
eventually 30 archived
before=$(ls "$A") streamed=$(streams)
same "$(slots)" "production|t"

check_fork() { # check_fork BRANCH
	local b=$1
	q() { cowfs psql "$b" -d "${2:-postgres}" -- -XAtqc "$1" </dev/null; }
	same "$(q "select subenabled, subslotname is null, subconninfo like '%secret%' from pg_subscription")" "f|t|f"
	same "$(q "select umoptions from pg_user_mapping")" "{user=u}"
	same "$(q "select umoptions from pg_user_mapping" second)" "{user=u}"
	same "$(q "select srvoptions from pg_foreign_server")" "{host=/x,dbname=d}"
	same "$(q "show archive_mode")" off
	[[ -z $cron ]] || same "$(q "show cron.max_running_jobs")" 0
	q "insert into t values (-1)"
	q "select pg_switch_wal()" >&2
	q "checkpoint"
	# What would call the publisher, if it had an address or a slot: a drop, and a drop while a table is synchronised.
	q "update pg_subscription_rel set srsubstate = 'd'"
	refused cowfs psql "$b" -- -XAtqc "alter subscription s enable"
	q "drop subscription s"
}
check_production() { # check_production DIR ROWS
	sql "$P" "insert into t select max(id) + 1 from t"
	eventually 30 has_rows "$1" "$2"
	same "$(slots)" "production|t" "the slots of the publisher"
	same "$(streams)" "$streamed" "replication connections to the publisher"
	same "$(ls "$A")" "$before" "the archive"
}

note "a fork of a stopped production"
exits 0 cowfs branch get main
contains "$out" "subscriptions disabled"
contains "$out" "foreign_passwords removed"
on_exit "for b in main live kept late pw; do cowfs stop \$b -m immediate; done"
exits 0 cowfs start main
contains "$err" "1 subscription(s) of main were disabled"
contains "$err" "2 user mapping(s)"
same "$(cowfs psql main -- -XAtqc 'select count(*) from t')" 100
check_fork main
check_production "$S" 102
# Once is enough: what its user sets up from now on is left alone.
cowfs psql main -- -Xqc "alter user mapping for postgres server far options (add password 'mine')" </dev/null
cowfs stop main >&2
exits 0 cowfs start main
lacks "$err" "note:"
contains "$(cowfs psql main -- -XAtqc 'select umoptions from pg_user_mapping')" mine
cowfs stop main >&2

note "a fork of a running production: the subscriber runs on a branch, with all that the policy keeps"
pg_stop "$S"
printf '[fork]\nsubscriptions = kept\nforeign_passwords = kept\nworkers = kept\n' >"$COWFS_STORE/cowfs.conf"
cowfs import "$S" production >&2
pg_start "$M/production" -c archive_mode=on -c archive_command="cp %p $A/%f"
eventually 30 has_rows "$M/production" 102
contains "$(sql "$M/production" "select umoptions from pg_user_mapping")" secret
streams_again() { (($(streams) > streamed)); }
eventually 30 streams_again
streamed=$(streams) before=$(ls "$A")
rm "$COWFS_STORE/cowfs.conf"
branch live --parent production
exits 0 cowfs start live
contains "$err" "1 subscription(s) of live were disabled"
check_fork live
check_production "$M/production" 103
if [[ -n $COWFS_LONG && -n $cron ]]; then
	branch jobs --parent production
	cowfs start jobs >&2
	on_exit "cowfs stop jobs -m immediate"
	# What a job of production did before the branch was made came along.
	sql "$M/production" "drop table if exists ran"
	cowfs psql jobs -- -Xqc "drop table if exists ran"
	sleep 65
	same "$(sql "$M/production" "select to_regclass('ran') is null")" f "the job of pg_cron ran in production"
	same "$(cowfs psql jobs -- -XAtqc "select to_regclass('ran') is null")" t "a job of pg_cron ran in the fork"
	cowfs stop jobs >&2
fi

note "a subscription that recovery brings: on the disk there was no page of it yet"
pg_init "$T/empty"
cowfs import "$T/empty" plain >&2
pg_start "$M/plain"
sql "$M/plain" "checkpoint"
sql "$M/plain" "create subscription s connection '$address' publication p with (connect = false, slot_name = production)" 2>/dev/null
pg_kill "$M/plain"
branch late --parent plain
truncate -s 0 "$M/late/global/6100"
exits 0 cowfs start late
contains "$err" "1 subscription(s) of late were disabled"
same "$(cowfs psql late -- -XAtqc 'select subslotname is null from pg_subscription')" t

note "what a branch keeps by its own policy"
branch kept --parent production --fork subscriptions=kept --fork foreign_passwords=kept
exits 0 cowfs start kept -c max_logical_replication_workers=0
lacks "$err" "note:"
same "$(cowfs psql kept -- -XAtqc 'select subslotname from pg_subscription')" production
refused cowfs branch create x --fork subscriptions=perhaps
contains "$err" "subscriptions=disabled|kept"
printf '[fork]\nworkers = some\n' >"$COWFS_STORE/cowfs.conf"
refused cowfs branch create x
contains "$err" "[fork] workers is off or kept"
rm "$COWFS_STORE/cowfs.conf"

note "new passwords"
exits 0 cowfs branch create pw --parent production --reset-passwords -o json
password=$(json passwords.app <"$T/.out")
lacks "$out" '"nobody":'
lacks "$(cowfs branch get pw -o json)" "$password"
sed -i '1i host all app 127.0.0.1/32 scram-sha-256' "$M/pw/pg_hba.conf"
cowfs start pw >&2
url=$(cowfs url pw -U app)
same "$(PGPASSWORD=$password "$PGBIN/psql" "$url" -XAtqc 'select current_user' </dev/null)" app
PGPASSWORD=old refused "$PGBIN/psql" "$url" -XAtqc 'select 1'
if grep -rqF "$password" "$COWFS_STORE/log"; then fail "a new password is in a log"; fi

note "a fork with nothing to disable is started once"
cowfs import "$T/empty" none >&2
cowfs start none >&2
on_exit "cowfs stop none -m immediate"
same "$(cowfs logs none | grep -c 'ready to accept connections')" 1 "starts of none"
[[ ! -e $M/none/cowfs.first_start ]] || fail "the mark of a first start is still there"
check_production "$M/production" 104
for b in main live kept late pw none; do cowfs stop $b >&2; done
pg_stop "$M/production"
unmount_store
verify_store
