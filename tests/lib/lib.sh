# SPDX-License-Identifier: Apache-2.0
# lib.sh: what every shell test of cowfs sources first.
#
#   . "$(dirname "$0")/../lib/lib.sh"
#   requires fuse root postgres
#
# Gives: $T, a directory of its own that the user postgres can enter, removed at the end with every
# server, daemon and mount the test started; assertions that say what was wanted; ways to start things.
# A test that cannot run here ends with 77 and says why. The first failing command ends the test.
# It ends only processes it started, by number.
set -Eeuo pipefail

TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SOURCE=$(dirname "$TESTS")
COWFS_BUILD=${COWFS_BUILD:-$SOURCE/build/test}
COWFS=${COWFS:-$COWFS_BUILD/tools/cowfs}
COWFS_LONG=${COWFS_LONG:-}
export LC_ALL=C.UTF-8 TZ=UTC PGCONNECT_TIMEOUT=30
unset COWFS_STORE PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS PGDATA

T=
cleanups=()
declare -A server_pid=() # by socket directory

note() { printf '# %s\n' "$*" >&2; }
fail() {
	printf 'FAIL: %s\n' "$*" >&2
	exit 1
}
skip() {
	printf 'SKIP: %s\n' "$*"
	exit 77
}

# Commands to run at the end, last registered first; each may fail.
on_exit() { cleanups+=("$*"); }

run_cleanups() {
	local rc=$? i
	trap - EXIT ERR
	set +e
	for ((i = ${#cleanups[@]} - 1; i >= 0; i--)); do
		eval "${cleanups[i]}" >/dev/null 2>&1
	done
	# A directory with something still mounted in it is not ours to delete.
	if [[ -n $T ]] && ! grep -q " $T/" /proc/self/mounts; then
		rm -rf -- "$T"
	fi
	exit "$rc"
}
trap 'printf "FAIL: line %s: %s\n" "$LINENO" "$BASH_COMMAND" >&2' ERR
trap run_cleanups EXIT
trap 'exit 143' TERM INT

# requires WORD...: skip unless the machine has it.
requires() {
	local w
	for w in "$@"; do
		case $w in
		root) [[ $(id -u) == 0 ]] || skip "needs root" ;;
		fuse) [[ -c /dev/fuse && -r /dev/fuse && -w /dev/fuse ]] || skip "needs /dev/fuse" ;;
		cowfs) [[ -x $COWFS ]] || fail "$COWFS is not built" ;;
		postgres)
			PGBIN=$(pg_bindir) || skip "needs PostgreSQL"
			id postgres >/dev/null 2>&1 || skip "needs the user postgres"
			;;
		*) command -v "$w" >/dev/null || skip "needs $w" ;;
		esac
	done
}

pg_bindir() {
	local d
	for d in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -Vr); do
		[[ -x $d/postgres && ${PG_MAJOR:-$(basename "$(dirname "$d")")} == "$(basename "$(dirname "$d")")" ]] &&
			echo "$d" && return
	done
	return 1
}

make_temp() {
	T=$(mktemp -d "${TMPDIR:-/tmp}/cowfs-test.XXXXXX")
	chmod 755 "$T"
	if [[ $(id -u) == 0 ]] && id postgres >/dev/null 2>&1 && ! runuser -u postgres -- test -x "$T"; then
		rmdir "$T"
		T=$(mktemp -d /tmp/cowfs-test.XXXXXX)
		chmod 755 "$T"
	fi
}
make_temp

# --- assertions ---

# eventually SECONDS COMMAND...: until it succeeds.
eventually() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || fail "not within the time: $*"
		sleep 0.1
	done
}
same() { [[ $1 == "$2" ]] || fail "${3:-value}: wanted '$2', got '$1'"; }
differ() { [[ $1 != "$2" ]] || fail "${3:-value}: both are '$1'"; }
contains() { [[ $1 == *"$2"* ]] || fail "wanted '$2' in: $1"; }
lacks() { [[ $1 != *"$2"* ]] || fail "did not want '$2' in: $1"; }
at_most() { (($1 <= $2)) || fail "${3:-value}: $1 is more than $2"; }
# exits CODE COMMAND...: its stdout in $out, stderr in $err.
exits() {
	local want=$1 got=0
	shift
	"$@" >"$T/.out" 2>"$T/.err" </dev/null || got=$?
	out=$(<"$T/.out")
	err=$(<"$T/.err")
	[[ $got == "$want" ]] || fail "$* exited with $got, not $want; stdout: $out; stderr: $err"
}
# refused COMMAND...: fails with words on stderr and nothing on stdout; never by a signal.
refused() {
	local got=0
	"$@" >"$T/.out" 2>"$T/.err" </dev/null || got=$?
	out=$(<"$T/.out")
	err=$(<"$T/.err")
	((got > 0 && got < 126)) || fail "$* exited with $got; stderr: $err"
	[[ -n $err ]] || fail "$* failed without a word"
	[[ -z $out ]] || fail "$* failed with something on stdout: $out"
}

# --- cowfs ---

cowfs() { "$COWFS" "$@"; }

# store_new [DIR]: init, and export COWFS_STORE.
store_new() {
	requires cowfs
	export COWFS_STORE=${1:-$T/store}
	cowfs init "$COWFS_STORE" >&2
	# Deleting gives space back at once here; what is kept for a while has tests of its own.
	printf '[branches]\nundelete_window = 0\n' >"$COWFS_STORE/cowfs.conf"
}

# mount_store [MOUNTPOINT [options]]: mount $COWFS_STORE, sets $M. COWFS_TEST_TRANSPORT: not over the default one.
mount_store() {
	M=${1:-$T/mnt}
	(($# == 0)) || shift
	mkdir -p "$M"
	cowfs mount "$COWFS_STORE" "$M" ${COWFS_TEST_TRANSPORT:+--transport "$COWFS_TEST_TRANSPORT"} "$@" >&2 2>"$T/.mount" </dev/null || fail "mount: $(<"$T/.mount")"
	on_exit "unmount_forced '$M'"
	mountpoint -q "$M" || fail "$M is not mounted"
	[[ -z ${COWFS_TEST_TRANSPORT:-} ]] || same "$(cowfs -o json status | json transport)" "$COWFS_TEST_TRANSPORT" transport
}
unmount_store() { cowfs unmount "${1:-$M}" >&2; }
unmount_forced() {
	# Not mountpoint(1): it cannot look at a mount whose daemon died.
	grep -q " $1 fuse" /proc/self/mounts || return 0
	timeout 20 "$COWFS" unmount "$1" || fusermount3 -u -z "$1" || umount -l "$1"
}
daemon_pid() { cowfs -o json status | json pid; }
# clock_start: from here on cowfs, and what it starts, goes by a wall clock that the test moves.
clock_start() {
	export COWFS_TEST_CLOCK=$T/clock
	clock_set 0
	CLOCK_PRELOAD=$COWFS_BUILD/tests/lib/testclock.so
	cowfs() { LD_PRELOAD=$CLOCK_PRELOAD "$COWFS" "$@"; }
}
# clock_set SECONDS: that much after the real one. Written in place: it is mapped.
clock_set() {
	python3 -c 'import os, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
os.pwrite(fd, struct.pack("q", int(sys.argv[2])), 0)' "$COWFS_TEST_CLOCK" "$1"
}
# json KEY[.KEY...] < DOCUMENT: the value, as text.
json() {
	python3 -c '
import json, sys
v = json.load(sys.stdin)
for k in sys.argv[1].split("."):
    v = v[int(k)] if isinstance(v, list) else v[k]
print(v if isinstance(v, (str, int)) else json.dumps(v))' "$1"
}

# --- postgres, raw: without cowfs start ---

as_pg() { if [[ $(id -u) == 0 ]]; then runuser -u postgres -- "$@"; else "$@"; fi; }

# pg_init DIR [initdb options]: an empty cluster, quickly.
pg_init() {
	local dir=$1
	shift
	mkdir -p "$(dirname "$dir")"
	if [[ $(id -u) == 0 ]]; then
		install -d -o postgres -g postgres -m 700 "$dir"
	fi
	as_pg "$PGBIN/initdb" -D "$dir" -U postgres -A trust -N --no-instructions -E UTF8 "$@" >"$T/.initdb" 2>&1 </dev/null ||
		fail "initdb: $(<"$T/.initdb")"
	cat >>"$dir/postgresql.conf" <<-'CONF'
		listen_addresses = ''
		shared_buffers = 32MB
		max_connections = 40
		autovacuum_naptime = 5s
		logging_collector = off
	CONF
}
# pg_init_bank DIR SCALE SQL [SETTING...]: a stopped cluster with the tables of pgbench, sums of its pages, amcheck, segments
# of WAL of 1 MB, and what SQL makes.
pg_init_bank() {
	pg_init "$1" -k --wal-segsize=1
	printf '%s\n' 'min_wal_size = 4MB' 'max_wal_size = 16MB' "${@:4}" >>"$1/postgresql.conf"
	pg_start "$1"
	pg_client "$1" pgbench -i -q -s "$2" postgres >"$T/init" 2>&1
	sql "$1" "create extension amcheck; $3"
	pg_stop "$1"
}
# The socket directory of a server is a name made of its data directory; the port is always 5432.
pg_sock() { printf '%s/s.%s' "$T" "$(printf %s "$1" | cksum | cut -d' ' -f1)"; }
# pg_start DIR [-c name=value ...]: a child of this shell, so that its end is seen (and it is reaped) here.
pg_start() {
	local dir=$1 sock user=()
	shift
	sock=$(pg_sock "$dir")
	if [[ $(id -u) == 0 ]]; then
		user=(setpriv --reuid=postgres --regid=postgres --init-groups)
		install -d -o postgres -m 700 "$sock"
	else
		mkdir -p -m 700 "$sock"
	fi
	rm -f "$sock"/.s.PGSQL.*
	"${user[@]}" "$PGBIN/postgres" -D "$dir" -c listen_addresses= -c port=5432 -c unix_socket_directories="$sock" "$@" \
		</dev/null >"$sock/log" 2>&1 &
	server_pid[$sock]=$!
	on_exit "pg_stop '$dir' immediate"
	local end=$((SECONDS + 120))
	until "$PGBIN/pg_isready" -q -h "$sock" -p 5432; do
		kill -0 "${server_pid[$sock]}" 2>/dev/null && ((SECONDS < end)) || fail "postgres did not start in $dir: $(tail -n 30 "$sock/log")"
		sleep 0.05
	done
}
# pg_stop DIR [fast|immediate|smart]
pg_stop() {
	local sock signal=INT pid
	sock=$(pg_sock "$1")
	pid=${server_pid[$sock]:-}
	[[ -n $pid ]] || return 0
	[[ ${2:-fast} != immediate ]] || signal=QUIT
	[[ ${2:-fast} != smart ]] || signal=TERM
	kill -$signal "$pid" 2>/dev/null || true
	wait "$pid" || [[ ${2:-fast} == immediate ]] || fail "postgres in $1 ended badly: $(tail -n 20 "$sock/log")"
	unset "server_pid[$sock]"
}
pg_pid() { head -1 "$1/postmaster.pid"; }
# pg_kill DIR: kill -9 the postmaster and every backend of it, and wait for their end.
pg_kill() {
	local sock pid children
	sock=$(pg_sock "$1")
	pid=${server_pid[$sock]:-$(pg_pid "$1")}
	children=$(pgrep -P "$pid" || true)
	# shellcheck disable=SC2086
	kill -9 "$pid" $children 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	for pid in $pid $children; do eventually 20 not_running "$pid"; done
	unset "server_pid[$sock]"
}
not_running() { [[ ! -d /proc/$1 ]] || [[ $(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null) == Z ]]; }
pg_log() { cat "$(pg_sock "$1")/log"; }
# sql DIR QUERY [DATABASE]: rows, unaligned.
sql() { as_pg "$PGBIN/psql" -h "$(pg_sock "$1")" -p 5432 -U postgres -d "${3:-postgres}" -XAtq -v ON_ERROR_STOP=1 -c "$2" </dev/null; }
pg_client() { # pg_client DIR PROGRAM [arguments]
	local dir=$1 program=$2
	shift 2
	as_pg "$PGBIN/$program" -h "$(pg_sock "$dir")" -p 5432 -U postgres "$@"
}
# pg_client_background DIR LOG PROGRAM [arguments]: sets $client, the process itself and not a shell around it.
pg_client_background() {
	local dir=$1 log=$2 program=$3 user=()
	shift 3
	[[ $(id -u) != 0 ]] || user=(setpriv --reuid=postgres --regid=postgres --init-groups)
	"${user[@]}" "$PGBIN/$program" -h "$(pg_sock "$dir")" -p 5432 -U postgres "$@" >"$log" 2>&1 </dev/null &
	client=$!
	on_exit "kill $client"
}
amcheck() { pg_client "$1" pg_amcheck --heapallindexed --install-missing -d "${2:-postgres}" </dev/null >"$T/.amcheck" 2>&1 ||
	fail "pg_amcheck on $1: $(head -n 20 "$T/.amcheck")"; }
# The four sums every pgbench transaction keeps equal.
pgbench_sums() {
	sql "$1" "select count(distinct s) = 1 from (select sum(abalance) s from pgbench_accounts union all
		select sum(bbalance) from pgbench_branches union all select sum(tbalance) from pgbench_tellers union all
		select coalesce(sum(delta), 0) from pgbench_history) x" "${2:-postgres}"
}

# --- both ---

# import_main [initdb options]: a mounted store whose branch main is a fresh cluster (with checksums).
import_main() {
	pg_init "$T/source" -k "$@"
	store_new
	mount_store
	cowfs import "$T/source" main >&2
	rm -rf "$T/source"
}
branch() { cowfs branch create "$@" >&2; }
drop() { cowfs branch delete --yes "$@" >&2; }
unique_bytes() { cowfs -o json du "$1" | json branches.0.unique_bytes; }
# Everything that can be said about a stopped server's data.
check_stopped() {
	as_pg "$PGBIN/pg_checksums" --check -D "$1" >"$T/.checksums" 2>&1 </dev/null || fail "pg_checksums: $(tail -5 "$T/.checksums")"
}
verify_store() {
	cowfs verify >"$T/.verify" 2>&1 || fail "cowfs verify: $(tail -n 20 "$T/.verify")"
}
