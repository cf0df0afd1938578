# SPDX-License-Identifier: Apache-2.0
# server.sh: postgres on the branch of a subject, and questions to it.
#
# The configuration is the same for all, in the postgresql.conf of the base; what a subject adds is
# visible in server_options. On cowfs the server is started as its users start it (`cowfs start`),
# elsewhere with pg_ctl. All clients use the unix socket.

as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"; }

# The cluster that every subject gets: initdb, pgbench -i, stopped cleanly.
base_make() {
	local data=$WORK/base
	note "base: pgbench scale $SCALE"
	install -d -o postgres -g postgres -m 700 "$data"
	install -d -o postgres -g postgres -m 755 "$WORK/log" "$WORK/sock"
	chmod 755 "$WORK"
	as_postgres initdb -D "$data" -A trust -U postgres -E UTF8 --no-locale >/dev/null
	cat >>"$data/postgresql.conf" <<-CONF
		shared_buffers = $SHARED_BUFFERS
		max_wal_size = 2GB
		checkpoint_timeout = 15min
		maintenance_work_mem = 64MB
		max_parallel_workers_per_gather = 0
		max_parallel_maintenance_workers = 0
		autovacuum = off
		listen_addresses = ''
	CONF
	as_postgres pg_ctl start -w -s -D "$data" -l "$WORK/log/base" -o "-k $WORK/sock -c fsync=off"
	createdb -h "$WORK/sock" -U postgres bench
	pgbench -h "$WORK/sock" -U postgres -i -q -s "$SCALE" bench >/dev/null 2>&1
	psql -XAtq -h "$WORK/sock" -U postgres bench -c 'CHECKPOINT' >/dev/null
	as_postgres pg_ctl stop -w -s -D "$data"
	sync
	bases_place "$data"
	rm -rf -- "$data"
	quiesce
}

# Options of postgres that make a subject what it is.
server_options() {
	case $1 in
	host-nofsync) echo "-c fsync=off" ;;
	esac
}

# server_start SUBJECT BRANCH [-c NAME=VALUE]...: up and taking connections; sets PGHOST, PGPORT.
server_start() {
	local subject=$1 branch=$2 data sock
	shift 2
	data=$(branch_data "$subject" "$branch")
	cell_servers+=("$subject $branch")
	case $subject in
	cowfs*)
		"$COWFS" --store "$STORE" -q start "$branch" "$@" >/dev/null
		;;
	*)
		sock=$WORK/sock/$subject
		install -d -o postgres -g postgres -m 755 "$sock"
		as_postgres pg_ctl start -W -s -D "$data" -l "$WORK/log/$subject" \
			-o "-k $sock $(server_options "$subject") $*"
		server_await "$data"
		;;
	esac
	server_address "$data"
}

# pg_ctl -w looks every 100 ms only; first rows are counted in milliseconds here.
server_await() {
	local end=$((SECONDS + 300))
	until [[ -s $1/postmaster.pid ]] && server_address "$1" 2>/dev/null &&
		[[ -S $PGHOST/.s.PGSQL.$PGPORT ]] && psql -XAtq postgres -c '' 2>/dev/null; do
		((SECONDS < end)) || fail "postgres did not start"
		sleep 0.005
	done
}

server_address() {
	local lines
	mapfile -t lines <"$1/postmaster.pid"
	[[ -n ${lines[4]:-} ]] || return 1
	export PGPORT=${lines[3]} PGHOST=${lines[4]} PGUSER=postgres
}

# server_stop SUBJECT BRANCH [MODE]
server_stop() {
	local subject=$1 branch=$2 mode=${3:-fast} data
	data=$(branch_data "$subject" "$branch")
	[[ -e $data/postmaster.pid ]] || return 0
	case $subject in
	cowfs*) "$COWFS" --store "$STORE" -q stop "$branch" -m "$mode" >/dev/null ;;
	*) as_postgres pg_ctl stop -w -s -D "$data" -m "$mode" ;;
	esac
}

server_log_tail() {
	case $1 in
	cowfs*) tail -q -n 5 "$STORE/log/cowfs.log" "$(ls -t "$STORE"/log/postgres-* | sed -n 1p)" ;;
	*) [[ ! -e $WORK/log/$1 ]] || tail -n 5 "$WORK/log/$1" ;;
	esac 2>/dev/null | sed 's/^/#   log: /'
}

query() { psql -XAtq -v ON_ERROR_STOP=1 bench -c "$1"; }

# timed_sql SQL: milliseconds, as psql measures them.
timed_sql() {
	psql -XAtq -v ON_ERROR_STOP=1 bench -c '\timing on' -c "$1" |
		awk '/^Time: / { ms = $2 } END { print ms }'
}

# tps OPTIONS...: transactions per second of a pgbench run on the server that was started last.
tps() {
	pgbench -n "$@" bench 2>&1 | awk '/^tps = / { t = $3 } { last = $0 }
		END { if (t == "") { print last >"/dev/stderr"; exit 1 } print t }'
}
# record_tps MEASURE STATE SUBJECT OPTIONS... (X in $AXIS)
record_tps() {
	local value
	value=$(tps "${@:4}")
	record "$1" "$2" "$3" "$value" tps more "pgbench -n ${*:4} bench" "${AXIS:-}"
}
