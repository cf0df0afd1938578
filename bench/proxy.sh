#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# proxy.sh: what does a connection through cowfs serve cost, against one past it?
#
# The same server, the same branch, TCP both ways: the public port of the branch (the proxy) and the
# private address on which its server listens. One takes turns with the other within a round, many
# times, because the scheduler of a small machine moves both by more than what is asked for.
. "$(dirname "$0")/lib.sh"
bench_begin "$@"

TURNS=7 # of each, in one round

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
	private=$(sed -n 6p "$(branch_data cowfs proxied)/postmaster.pid")
	private=${private%% *}
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

# compare MEASURE UNIT BETTER COMMAND FUNCTION [ARGUMENT]: medians of both, and of the differences of neighbours.
compare() {
	local k d p
	: >"$WORK/turns"
	for ((k = 0; k < TURNS; k++)); do
		if ((k % 2)); then
			p=$("$5" 127.0.0.1 "${@:6}") d=$("$5" "$private" "${@:6}")
		else
			d=$("$5" "$private" "${@:6}") p=$("$5" 127.0.0.1 "${@:6}")
		fi
		awk -v d="$d" -v p="$p" 'BEGIN { print d, p, p - d, p / d }' >>"$WORK/turns"
	done
	record "$1" '' direct "$(cut -d' ' -f1 "$WORK/turns" | percentile 50)" "$2" "$3" "$4"
	record "$1" '' proxy "$(cut -d' ' -f2 "$WORK/turns" | percentile 50)" "$2" "$3" "$4"
	note "$(printf '%s: proxy - direct %s, proxy / direct %s (medians of %d pairs)' "$1" \
		"$(cut -d' ' -f3 "$WORK/turns" | percentile 50)" "$(cut -d' ' -f4 "$WORK/turns" | percentile 50)" "$TURNS")"
}

proxied() {
	echo 'SELECT 1;' >"$WORK/select1.sql"
	branch_make cowfs proxied
	serve_up
	trap 'serve_down; cell_end' EXIT
	compare proxy-select1 us less 'pgbench -f select1.sql -c 1 -T 1 -l' latency
	compare proxy-tpcb-1 tps more "pgbench -n -c 1 -T $SELECT bench" transactions 1
	compare proxy-tpcb-8 tps more "pgbench -n -c 8 -j 1 -T $SELECT bench" transactions 8
	compare proxy-copy-out ms less 'COPY (300 MB of rows) TO STDOUT' copy_out
}

rounds proxy proxied cowfs
bench_end
