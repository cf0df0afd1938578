#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# proxy.sh: what does a connection at the address of a branch cost, against one to the server's own address?
#
# The same server, the same branch, three ways in turns: direct (the private address on which the server listens), straight
# (the address of the branch, from which serve leads past the proxy), relayed (the same, with a limit of connections, so that
# all goes through the proxy). By TCP and by unix socket. One takes turns with the others within a round, many times,
# because the scheduler of a small machine moves all of them by more than what is asked for.
. "$(dirname "$0")/lib.sh"
bench_begin "$@"

TURNS=${BENCH_TURNS:-7} # of each way, in one round
read -ra KINDS <<<"${BENCH_KINDS:-tcp socket}"

serve_up() {
	local end=$((SECONDS + 30)) url
	"$COWFS" --store "$STORE" serve --suspend-timeout never 2>"$WORK/serve.log" 9>&- &
	serve=$!
	until [[ $("$COWFS" --store "$STORE" -o json branch get proxied 2>/dev/null | jq -r .current_state) == suspended ]]; do
		kill -0 "$serve" && ((SECONDS < end)) || fail "serve: $(tail -1 "$WORK/serve.log")"
		sleep 0.1
	done
	url=$("$COWFS" --store "$STORE" -o json url proxied)
	export PGUSER=postgres PGHOST=127.0.0.1 PGPORT
	PGPORT=$(jq -r .port <<<"$url")
	query 'SELECT 1' >/dev/null # wakes it
	# What clients of each kind are told as the host: of the branch, of its server.
	public_tcp=127.0.0.1 public_socket=$(jq -r .socket_dir <<<"$url")
	private_tcp=$(sed -n 6p "$(branch_data cowfs proxied)/postmaster.pid")
	private_tcp=${private_tcp%% *}
	private_socket=$(sed -n 5p "$(branch_data cowfs proxied)/postmaster.pid")
}

# lead KIND WAY: new clients of the branch go this way from now on; $host is where to connect to.
lead() {
	local limit=default led straight=true
	host=private_$1 && host=${!host}
	[[ $2 != direct ]] || return 0
	host=public_$1 && host=${!host}
	[[ $2 != relayed ]] || limit=1000 straight=false
	"$COWFS" -q --store "$STORE" branch set proxied --max-connections "$limit" >/dev/null
	[[ $1 == tcp ]] && led=steered || led=straight
	led=$("$COWFS" --store "$STORE" -o json branch get proxied | jq -r ".$led")
	[[ $led == "$straight" ]] || { echo "clients by $1 do not go $2 here" >&2 && return 1; }
}

serve_down() {
	kill "$serve" && wait "$serve" || true
}

# p50 of one run of SELECT 1, in microseconds.
latency() {
	rm -f "$WORK"/latency.*
	pgbench -n -h "$1" -f "$WORK/select1.sql" -c 1 -T 1 -l --log-prefix="$WORK/latency" bench >/dev/null 2>&1
	awk '{ print $3 }' "$WORK"/latency.* | percentile 50
}

transactions() { PGHOST=$1 tps -c "$2" -j 1 -T "$SELECT"; }

# seconds for 300 MB of rows to a client
copy_out() {
	local began=${EPOCHREALTIME/./}
	psql -h "$1" -XAtqc "COPY (SELECT repeat('x', 200) FROM generate_series(1, 1500000)) TO STDOUT" bench >/dev/null
	took "$began"
	echo "$MS"
}

# compare KIND MEASURE UNIT BETTER COMMAND FUNCTION [ARGUMENT]: medians of all three, and of the ratios of neighbours.
compare() {
	local k way host ways=(direct straight relayed)
	local -A got
	rm -f "$WORK"/turns.*
	for ((k = 0; k < TURNS; k++)); do
		for way in "${ways[@]}"; do
			lead "$1" "$way"
			got[$way]=$("$6" "$host" "${@:7}")
			echo "${got[$way]}" >>"$WORK/turns.$way"
		done
		for way in straight relayed; do
			awk -v d="${got[direct]}" -v p="${got[$way]}" 'BEGIN { print p / d }' >>"$WORK/turns.$way-direct"
		done
		ways=("${ways[@]:1}" "${ways[0]}")
	done
	for way in direct straight relayed; do
		record "$2" "$1" "$way" "$(percentile 50 <"$WORK/turns.$way")" "$3" "$4" "$5"
	done
	note "$(printf '%s by %s: straight / direct %s, relayed / direct %s (medians of %d turns)' "$2" "$1" \
		"$(percentile 50 <"$WORK/turns.straight-direct")" "$(percentile 50 <"$WORK/turns.relayed-direct")" "$TURNS")"
}

proxied() {
	local kind
	echo 'SELECT 1;' >"$WORK/select1.sql"
	branch_make cowfs proxied
	serve_up
	trap 'serve_down; cell_end' EXIT
	for kind in "${KINDS[@]}"; do
		compare "$kind" proxy-select1 us less 'pgbench -f select1.sql -c 1 -T 1 -l' latency
		compare "$kind" proxy-tpcb-1 tps more "pgbench -n -c 1 -T $SELECT bench" transactions 1
		compare "$kind" proxy-tpcb-8 tps more "pgbench -n -c 8 -j 1 -T $SELECT bench" transactions 8
		compare "$kind" proxy-copy-out ms less 'COPY (300 MB of rows) TO STDOUT' copy_out
	done
}

rounds proxy proxied cowfs
bench_end
