# SPDX-License-Identifier: Apache-2.0
# residue.sh: plant originals in every place where PostgreSQL keeps bytes of values, one name for each place.
#
#   . "$(dirname "$0")/../lib/residue.sh"      after lib.sh
#   plant DIR      on a running server (pg_start with "${plant_settings[@]}") of a plain directory; stops it
#   $T/originals   afterwards: NAME<tab>VALUE for `golden scan --originals`
# Every value is of its own place; most of them are in the WAL as well, which is why tests ask for place and file.

plant_settings=(-c logging_collector=on -c log_directory=log -c log_statement=all -c restart_after_crash=on
	-c remove_temp_files_after_crash=off -c autovacuum=off -c max_wal_size=4GB)

declare -A planted=(
	[dead_tuple]='dead.tuple.Wq8r@planted.org'
	[toast_plain]='toast.plain.Zk3v@planted.org'
	[toast_pglz]='toast.pglz.Hd7m@planted.org'
	[toast_lz4]='toast.lz4.Uf5x@planted.org'
	[inline_pglz]='inline.pglz.Bn2c@planted.org'
	[index_page]='Index.Page.Ty6p@Planted.org'
	[statistics]='statistics.Jr4w@planted.org'
	[wal_message]='wal.message.Ox9s@planted.org'
	[image_pglz]='image.pglz.Qe1z@planted.org'
	[image_lz4]='image.lz4.Vm8k@planted.org'
	[image_zstd]='image.zstd.Lg3d@planted.org'
	[old_file]='old.file.Ca7n@planted.org'
	[server_log]='server.log.Pw5t@planted.org'
	[sort_spill]='sort.spill.Ki2y@planted.org'
	[large_object]='large.object.Sx6h@planted.org'
	[configuration]='configuration.Mb4j@planted.org'
	[wide_characters]='Jürgen Großmüller, Straße 17'
)

# A value in a text that packs well: its halves come before it, so that it lies nowhere as it is.
packable() { # packable VALUE LENGTH
	printf "(select string_agg(left('%s', 9) || ' ' || right('%s', -9) || ' ', '') || '%s' || repeat(' quite like the words before', %s)
		from generate_series(1, 3))" "$1" "$1" "$1" "$(($2 / 28))"
}

plant_rows() {
	local d=$1
	sql "$d" "
		create table people (id int, email text);
		insert into people select g, 'nobody' || g from generate_series(1, 50) g;
		insert into people values (51, '${planted[dead_tuple]}'), (52, '${planted[wide_characters]}');
		delete from people where id = 51;

		create table notes (id int, note text, more text);
		alter table notes alter note set storage external;
		insert into notes values (1, repeat('x', 1996 - 9) || '${planted[toast_plain]}' || repeat('y', 3000), 'm');

		create table packed (id int, note text compression pglz);
		create table packed4 (id int, note text compression lz4);
		insert into packed select 1, $(packable "${planted[toast_pglz]}" 600) || string_agg(md5(g::text) || md5(g::text), '')
			from generate_series(1, 400) g;
		insert into packed4 select 1, $(packable "${planted[toast_lz4]}" 600) || string_agg(md5(g::text) || md5(g::text), '')
			from generate_series(1, 400) g;
		insert into packed values (2, $(packable "${planted[inline_pglz]}" 9000));

		create table keys (email text);
		create index keys_lower on keys (lower(email));
		insert into keys values ('${planted[index_page]}');

		create table seen (email text);
		insert into seen select '${planted[statistics]}' from generate_series(1, 500);
		analyze seen;
		select lo_from_bytea(0, (repeat('l', 2048 - 11) || '${planted[large_object]}' || repeat('o', 5000))::bytea)" >/dev/null
	sql "$d" "alter system set application_name = '${planted[configuration]}'"
	sql "$d" "select 1 /* ${planted[server_log]} */" >/dev/null
}

plant_wal() {
	local d=$1 m
	sql "$d" "select pg_logical_emit_message(false, 'm', repeat('${planted[wal_message]}', 3000))" >/dev/null
	for m in pglz lz4 zstd; do
		sql "$d" "create table image_$m (id int, note text);
			insert into image_$m values (1, '${planted[image_$m]}'), (2, repeat('fill ', 700))"
	done
	sql "$d" "checkpoint"
	for m in pglz lz4 zstd; do
		sql "$d" "set wal_compression = $m; update image_$m set id = 3 where id = 2"
	done
}

# What a crash leaves: the file of a relation whose creation never ended, and that of a sort.
plant_crash() {
	local d=$1 path
	sql "$d" "create table left_behind as select '${planted[old_file]}' || g as v from generate_series(1, 10) g; checkpoint"
	path=$(sql "$d" "select pg_relation_filepath('left_behind')")
	as_pg cp "$d/$path" "$d/$(dirname "$path")/98765"
	sql "$d" "drop table left_behind"
	as_pg "$PGBIN/psql" -h "$(pg_sock "$d")" -p 5432 -U postgres -XAtq >"$T/.spill" 2>&1 <<-SQL || true
		set work_mem = '64kB';
		begin;
		declare c cursor for select md5(g::text) || '${planted[sort_spill]}' as v from generate_series(1, 20000) g order by 1;
		fetch 1 from c;
		select pg_backend_pid();
		\! kill -9 \$(pgrep -P $(pg_pid "$d") -f 'postgres: postgres postgres \\[local\\] idle in transaction')
		select 1;
	SQL
	eventually 30 sql "$d" "select 1"
	compgen -G "$d/base/pgsql_tmp/pgsql_tmp*" >/dev/null || fail "no sort spill was left: $(<"$T/.spill")"
}

plant() {
	local name
	plant_rows "$1"
	plant_wal "$1"
	plant_crash "$1"
	pg_stop "$1"
	for name in "${!planted[@]}"; do printf '%s\t%s\n' "$name" "${planted[$name]}"; done >"$T/originals"
}
