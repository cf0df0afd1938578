#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# profile.sh: where does the time of one workload go?
#
#   bench/profile.sh WORKLOAD [--quick | --smoke]      # copy alter index vacuum tpcb select wal randwrite
#
# No comparison but an explanation: runs the workload once on each subject (host, cowfs, or
# BENCH_SUBJECTS) under `perf record -a -g` and prints, for each: how long it took; the requests that
# reached the daemon, by opcode; the processor time of each program (swapper: idle, so waiting for the
# disk); the functions that took most, with the program they ran in. perf itself costs a few percent.
# The recordings stay in BENCH_PROFILES, if that is set.
. "$(dirname "$0")/lib.sh"

workload=${1:-}
[[ $workload =~ ^(copy|alter|index|vacuum|tpcb|select|wal|randwrite)$ ]] ||
	fail "which workload? copy, alter, index, vacuum, tpcb, select, wal or randwrite"
shift
bench_begin "$@"
command -v perf >/dev/null || fail "needs perf: apt install linux-perf"

: "${TOP:=25}"
HZ=997
records=${BENCH_PROFILES:-$WORK}

# --- what runs, after `prepare` has made it ready ---

prepare_copy() {
	[[ -e $WORK/load.tsv ]] || seq "$LOAD_ROWS" |
		awk '{ printf "%d\t%d\t%d\t%-80s\n", $1, $1 % 97, $1 * 7 % 1000, "row " $1 }' >"$WORK/load.tsv"
	chmod 644 "$WORK/load.tsv"
	query 'CREATE TABLE loaded (id int, a int, b int, filler text)'
	query 'CHECKPOINT'
	cat "$WORK/load.tsv" >/dev/null
}
run_copy() {
	query "COPY loaded FROM '$WORK/load.tsv'"
	query 'CHECKPOINT'
}

read_all() { query 'SELECT count(*) FROM pgbench_accounts' >/dev/null; }
prepare_alter() { read_all; }
run_alter() { query 'ALTER TABLE pgbench_accounts ALTER COLUMN bid TYPE bigint'; }
prepare_index() { read_all; }
run_index() { query 'CREATE INDEX ON pgbench_accounts (abalance, bid)'; }
prepare_vacuum() {
	query 'UPDATE pgbench_accounts SET abalance = 1 WHERE aid % 10 = 0'
	query 'CHECKPOINT'
}
run_vacuum() { query 'VACUUM pgbench_accounts'; }

prepare_tpcb() {
	query 'UPDATE pgbench_accounts SET abalance = abalance WHERE aid % 50 = 0'
	query 'CHECKPOINT'
}
run_tpcb() { said=$(tps -c 8 -j 2 -T "$STEADY"); }
prepare_select() { cat "$(branch_data "$subject" profile)"/base/*/* >/dev/null; }
run_select() { said=$(tps -S -c 8 -j 2 -T "$SELECT"); }

prepare_wal() {
	server_stop "$subject" profile
	file=$(branch_data "$subject" profile)/pg_wal/000000010000000000000007
	dd if=/dev/zero of="$file" bs=1M count=16 conv=fsync status=none
}
run_wal() {
	fio --name=wal --filename="$file" --ioengine=psync --bs=8k --fallocate=none --rw=write --sync=dsync \
		--size=16m --time_based --runtime="$FIO_WAL" >"$WORK/fio.out"
	said=$(awk '/clat percentiles/ { unit = $3 } /50.00th/ { sub(/.*50.00th=\[ */, ""); sub(/\].*/, ""); print $0, unit }' "$WORK/fio.out")
}
prepare_randwrite() {
	server_stop "$subject" profile
	file=$(largest_file "$(branch_data "$subject" profile)")
}
run_randwrite() {
	fio --name=randwrite --filename="$file" --ioengine=psync --bs=8k --fallocate=none --rw=randwrite \
		--invalidate=0 --io_size="${FIO_MIB}m" --end_fsync=1 >"$WORK/fio.out"
}

# --- what is seen of it ---

daemon_status() { "$COWFS" --store "$STORE" status -o json; }

# The requests between two answers of the daemon, most frequent first.
requests_between() {
	jq -rn --slurpfile a "$1" --slurpfile b "$2" '
		[$b[0].requests | to_entries[] | {key, n: (.value - ($a[0].requests[.key] // 0))} | select(.n > 0)]
		| sort_by(-.n) | map("\(.key) \(.n)") | join(", ")'
}

# Milliseconds of processor time of each program: so many samples are taken in a second of one core.
by_program() {
	perf report -i "$1" --no-children -g none --sort comm --stdio -n 2>/dev/null |
		awk -v hz="$HZ" '/^ *[0-9.]+%/ && $2 / hz >= 0.005 { printf "    %6d ms  %s\n", $2 * 1000 / hz, $3 }'
}
# The same of functions, with the program and where the code lies.
top_functions() {
	perf report -i "$1" --no-children -g none --sort comm,dso,symbol --stdio -n 2>/dev/null |
		awk -v hz="$HZ" -v top="$TOP" '/^ *[0-9.]+%/ && $3 != "swapper" && shown++ < top {
			printf "    %6d ms  %-12s %-18s %s\n", $2 * 1000 / hz, $3, $4, $6 }'
}

profile() {
	local subject=$1 began said='' file pid
	branch_make "$subject" profile
	server_start "$subject" profile
	"prepare_$workload"
	sync
	daemon_status >"$WORK/before"
	perf record -q -a -g -F "$HZ" -o "$records/$subject.perf" >/dev/null 2>&1 &
	pid=$!
	sleep 0.5
	began=${EPOCHREALTIME/./}
	"run_$workload"
	took "$began"
	kill -INT "$pid"
	wait "$pid" || true
	daemon_status >"$WORK/after"
	echo "$workload on $subject: $MS ms${said:+, $said}"
	[[ $subject != cowfs* ]] || echo "  requests: $(requests_between "$WORK/before" "$WORK/after")"
	echo "  processor time by program:"
	by_program "$records/$subject.perf"
	echo "  functions:"
	top_functions "$records/$subject.perf"
}

export ROUNDS=1
rounds profile profile ${BENCH_SUBJECTS:-host cowfs}
