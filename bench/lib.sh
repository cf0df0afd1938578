# SPDX-License-Identifier: Apache-2.0
# lib.sh: what every script of the bench sources first.
#
#   . "$(dirname "$0")/lib.sh"
#   bench_begin "$@"      # options; file systems and base, unless bench/run has made them
#   ...                   # cells that call `record`
#   bench_end             # a script that runs alone prints its table here
#
# A cell is one (question, subject, round): it runs in a subshell that ends what it started, and a
# cell that fails gives a row that says why instead of a number. Subjects are taken in turn within
# each round (host, cowfs, xfs, ... host, cowfs, xfs, ...), every second round backwards, so slow
# drifts of the machine meet all of them. It ends only processes it started, by number.
set -Eeuo pipefail

BENCH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SOURCE=$(dirname "$BENCH")
export LC_ALL=C.UTF-8 TZ=UTC
unset COWFS_STORE PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS PGDATA
unset XDG_RUNTIME_DIR # the socket directory of a branch must not depend on the login

exec 9>&2 # progress and complaints: cells have their stderr taken away
note() { printf '# %s\n' "$*" >&9; }
fail() {
	printf 'bench: %s\n' "$*" >&2
	exit 1
}

usage() {
	cat <<-TEXT
		Usage: bench/$(basename "$0") [--quick | --smoke]

		  --quick   3 rounds, small sizes
		  --smoke   1 round, tiny: does everything run? The figures mean nothing
		Environment:
		  COWFS                 the executable (default: found in build*/tools of the source)
		  BENCH_DIR             directory on the disk to measure (default: /var/tmp)
		  BENCH_SUBJECTS        only these, e.g. "host cowfs xfs"
		  BENCH_<SETTING>       another value for a setting of the profile, see bench/lib.sh
	TEXT
}

# set_profile NAME: durations in seconds, sizes as the tools want them.
set_profile() {
	local -A full=(
		[ROUNDS]=5 [SCALE]=100 [SHARED_BUFFERS]=128MB [DEVICE_MIB]=14336
		[OTHER_STATES]='fresh one-client snapshots' [FRESH]=60 [STEADY]=30 [SNAP_EVERY]=10 [SNAP_FOR]=60 [SELECT]=20
		[LOAD_ROWS]=10000000 [RECOVER_TX]=10000
		[FIO_MIB]=1024 [FIO_FOR]=10 [FIO_WAL]=10
		[CREATES]=200 [STARTS]=10 [STALL_FOR]=30
		[DEPTHS]='0 1 10 100' [SNAPSHOTS]='0 1000 10000' [COUNTS]='1 100 1000'
		[BASES_MIB]='100 1024 10240 51200'
	)
	local -A quick=(
		[ROUNDS]=3 [SCALE]=8 [SHARED_BUFFERS]=32MB [DEVICE_MIB]=4096
		[OTHER_STATES]='' [FRESH]=10 [STEADY]=3 [SNAP_EVERY]=2 [SNAP_FOR]=4 [SELECT]=2
		[LOAD_ROWS]=1000000 [RECOVER_TX]=300
		[FIO_MIB]=64 [FIO_FOR]=1 [FIO_WAL]=1
		[CREATES]=30 [STARTS]=2 [STALL_FOR]=4
		[DEPTHS]='0 1 10' [SNAPSHOTS]='0 100' [COUNTS]='1 50'
		[BASES_MIB]='100 1024'
	)
	local -A smoke=(
		[ROUNDS]=1 [SCALE]=2 [SHARED_BUFFERS]=8MB [DEVICE_MIB]=1024
		[OTHER_STATES]='fresh one-client snapshots' [FRESH]=1 [STEADY]=1 [SNAP_EVERY]=1 [SNAP_FOR]=2 [SELECT]=1
		[LOAD_ROWS]=20000 [RECOVER_TX]=50
		[FIO_MIB]=8 [FIO_FOR]=1 [FIO_WAL]=1
		[CREATES]=5 [STARTS]=1 [STALL_FOR]=2
		[DEPTHS]='0 2' [SNAPSHOTS]='0 5' [COUNTS]='1 5'
		[BASES_MIB]='100'
	)
	local -n chosen=$1
	local k own
	SETTINGS=(PROFILE)
	PROFILE=$1
	for k in "${!chosen[@]}"; do
		own=BENCH_$k
		printf -v "$k" '%s' "${!own:-${chosen[$k]}}"
		export "BENCH_$k=${!k}"
		SETTINGS+=("$k")
	done
	export BENCH_PROFILE=$1
}

# --- cleaning up ---

cleanups=()
# Commands to run at the end, last registered first; each may fail.
on_exit() { cleanups+=("$*"); }
run_cleanups() {
	local rc=$? i
	trap - EXIT ERR
	trap '' INT TERM
	set +e
	for ((i = ${#cleanups[@]} - 1; i >= 0; i--)); do
		eval "${cleanups[i]}" >/dev/null 2>&1
	done
	exit "$rc"
}

remove_work() {
	# A directory with something still mounted in it is not ours to delete.
	grep -q " $WORK/" /proc/self/mounts || rm -rf --one-file-system -- "$WORK"
}

# --- what the bench needs ---

find_cowfs() {
	local f
	[[ -n ${COWFS:-} ]] && return
	for f in "$SOURCE"/build*/tools/cowfs "$SOURCE"/build*/*/tools/cowfs; do
		[[ -x $f ]] && COWFS=$f
	done
	[[ -n ${COWFS:-} ]] || fail "cowfs is not built: build it (RelWithDebInfo), or set COWFS"
}

find_postgres() {
	local d
	for d in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -Vr); do
		[[ -x $d/postgres && -x $d/pgbench ]] && PGBIN=$d && break
	done
	[[ -n ${PGBIN:-} ]] || fail "needs PostgreSQL: apt install postgresql"
	id postgres >/dev/null 2>&1 || fail "needs the user postgres"
	export PATH=$PGBIN:$PATH
}

require() {
	local w
	[[ $(id -u) == 0 ]] || fail "needs root: loop devices, mounts, dropping caches"
	for w in jq perl fio losetup setpriv mkfs.ext4; do
		command -v "$w" >/dev/null || fail "needs $w"
	done
	find_cowfs
	find_postgres
	export COWFS PGBIN
}

bench_begin() {
	local w
	PROFILE=${BENCH_PROFILE:-full}
	for w in "$@"; do
		case $w in
		--quick) PROFILE=quick ;;
		--smoke) PROFILE=smoke ;;
		-h | --help) usage && exit 0 ;;
		*) usage >&2 && exit 2 ;;
		esac
	done
	set_profile "$PROFILE"
	trap run_cleanups EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	require
	. "$BENCH/filesystems.sh"
	. "$BENCH/server.sh"
	if [[ -n ${BENCH_WORK:-} ]]; then
		WORK=$BENCH_WORK
		STORE=$WORK/cowfs/store
		return
	fi
	WORK=$(mktemp -d "${BENCH_DIR:-/var/tmp}/cowfs-bench.XXXXXX")
	STORE=$WORK/cowfs/store
	chmod 755 "$WORK"
	on_exit remove_work
	: >"$WORK/samples"
	filesystems_make
	base_make
}

bench_end() {
	[[ -n ${BENCH_WORK:-} ]] || "$BENCH/report" --table "$WORK/samples"
}

# --- samples ---

# record MEASURE STATE SUBJECT VALUE UNIT BETTER COMMAND [X]
# STATE is "" where there is only one; BETTER is more or less; X is the place on an axis (depth, ...).
record() {
	local command=${7//$WORK\//}
	command=${command//$PGBIN\//}
	command=${command//$COWFS/cowfs}
	jq -nc --arg measure "$1" --arg state "$2" --arg subject "$3" --arg value "$4" --arg unit "$5" \
		--arg better "$6" --arg command "$command" --arg x "${8:-}" --argjson round "${ROUND:-1}" \
		'{measure: $measure, state: $state, subject: $subject, x: ($x | tonumber? // null),
		  round: $round, value: ($value | tonumber), unit: $unit, better: $better,
		  command: $command}' >>"$WORK/samples"
}

# record_missing MEASURE SUBJECT WHY: the row says why.
record_missing() {
	jq -nc --arg measure "$1" --arg subject "$2" --arg why "${3//$WORK\//}" \
		--argjson round "${ROUND:-1}" \
		'{measure: $measure, state: "", subject: $subject, x: null, round: $round, value: null,
		  why: $why}' >>"$WORK/samples"
}

# rounds QUESTION FUNCTION SUBJECT...: FUNCTION SUBJECT for each, interleaved.
rounds() {
	local question=$1 function=$2 s order
	shift 2
	for ((ROUND = 1; ROUND <= ROUNDS; ROUND++)); do
		order=("$@")
		((ROUND % 2)) || order=($(printf '%s\n' "$@" | tac))
		for s in "${order[@]}"; do
			cell "$question" "$s" "$function"
		done
	done
}

wanted() { [[ -z ${BENCH_SUBJECTS:-} || " $BENCH_SUBJECTS " == *" $1 "* ]]; }

# cell QUESTION SUBJECT FUNCTION [ARGUMENT...]
cell() {
	local question=$1 subject=$2 function=$3 rc=0 why started=$SECONDS
	shift 3
	wanted "$subject" || return 0
	if why=$(filesystem_missing "$subject"); then
		((ROUND > 1)) || record_missing "$question" "$subject" "$why"
		return 0
	fi
	set +e
	(
		set -Eeuo pipefail
		trap cell_end EXIT
		trap 'echo "at ${BASH_SOURCE##*/}:$LINENO: $BASH_COMMAND" >&2' ERR
		cell_servers=() cell_branches=()
		"$function" "$subject" "$@"
	) 2>"$WORK/cell.err"
	rc=$?
	set -e
	((rc != 130 && rc != 143)) || exit "$rc"
	if ((rc)); then
		why=$(grep -v -e '^$' -e '^at ' "$WORK/cell.err" | tail -1) || true
		record_missing "$question" "$subject" "failed: ${why:-status $rc}"
		note "$question $subject: failed (status $rc)"
		sed 's/^/#   /' "$WORK/cell.err" | tail -15 >&9
		server_log_tail "$subject" >&9
	fi
	note "$(printf '%-11s round %d  %-16s %3d s' "$question" "$ROUND" "$subject" \
		$((SECONDS - started)))"
}

# The end of a cell, good or bad: its servers and branches go, and the disk comes to rest.
cell_end() {
	local rc=$? s
	trap - EXIT
	set +e
	for s in "${cell_servers[@]}"; do server_stop $s immediate; done
	for s in "${cell_branches[@]}"; do branch_drop $s; done
	quiesce
	exit "$rc"
}

# --- time and figures ---

# began=${EPOCHREALTIME/./}; work; took "$began": MS is how long the work took, in milliseconds. No
# process is started in between.
took() {
	local us=$((${EPOCHREALTIME/./} - $1))
	printf -v MS '%d.%03d' $((us / 1000)) $((us % 1000))
}
# percentile P: of the numbers on stdin, one a line (nearest rank).
percentile() {
	sort -g | awk -v p="$1" '{ v[NR] = $1 }
		END { i = int(NR * p / 100 + 0.9999999); print v[i < 1 ? 1 : i] }'
}
drop_caches() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}
# largest_file DATA: the largest relation file of a data directory: the pgbench_accounts.
largest_file() { ls -S "$1"/base/[0-9]*/[0-9]* | sed -n 1p; }
