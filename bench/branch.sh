#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# branch.sh: how long do branch create, the first row, reset and delete take, and whom do they hold up?
#
# create: the parent is idle. On cowfs twice: the answer of the daemon (state "daemon") and the whole
# command (state "command", what a user waits for); elsewhere the command that takes its place. Two
# ways inside postgres, CREATE DATABASE ... TEMPLATE and pg_dump | pg_restore, on the host directory.
. "$(dirname "$0")/lib.sh"
bench_begin "$@"

# record_spread MEASURE STATE SUBJECT FILE COMMAND: p50 and p99 of the milliseconds in FILE.
record_spread() {
	record "$1-p50" "$2" "$3" "$(percentile 50 <"$4")" ms less "$5"
	record "$1-p99" "$2" "$3" "$(percentile 99 <"$4")" ms less "$5"
}

in_ms() { awk '{ print $1 / 1000 }'; }

# Many creates and deletes by the daemon, then by the command.
many_cowfs() {
	local extra='"parent": "main"'
	[[ $1 == cowfs ]] || extra+=', "ephemeral": true'
	"$BENCH/ask" "$STORE" branch.create "{\"name\": \"many-%d\", $extra}" "$CREATES" |
		in_ms >"$WORK/ms"
	record_spread create daemon "$1" "$WORK/ms" "ask branch.create x $CREATES"
	"$BENCH/ask" "$STORE" branch.delete '{"names": ["many-%d"]}' "$CREATES" | in_ms >"$WORK/ms"
	record_spread delete daemon "$1" "$WORK/ms" "ask branch.delete x $CREATES"
	many_commands "$1" "$CREATES"
}

# The command, N times.
many_commands() {
	local n how began
	: >"$WORK/ms" && : >"$WORK/ms.delete"
	for ((n = 0; n < $2; n++)); do
		branch_make "$1" "many$n"
		echo "$MADE_MS" >>"$WORK/ms"
	done
	for ((n = 0; n < $2; n++)); do
		how=$(branch_delete_how "$1" "many$n")
		began=${EPOCHREALTIME/./}
		eval "$how" >/dev/null
		took "$began" && echo "$MS" >>"$WORK/ms.delete"
	done
	record_spread create command "$1" "$WORK/ms" "$(branch_how "$1" many) x $2"
	record_spread delete command "$1" "$WORK/ms.delete" "$(branch_delete_how "$1" many) x $2"
}

many() {
	case $1 in
	cowfs*) many_cowfs "$1" ;;
	host) many_commands "$1" 2 ;;
	*) many_commands "$1" 10 ;;
	esac
}

# cowfs can make and start in one command, where it has --start.
made_and_started() {
	local how
	if [[ $1 == cowfs* && $("$COWFS" branch create --help) == *' --start '* ]]; then
		how="$(branch_how "$1" "$2") --start"
	fi
	began=${EPOCHREALTIME/./}
	if [[ -n ${how:-} ]]; then
		cell_branches+=("$1 $2") cell_servers+=("$1 $2")
		eval "$how" >/dev/null
		server_address "$(branch_data "$1" "$2")"
	else
		branch_make "$1" "$2"
		server_start "$1" "$2"
	fi
	query 'SELECT 1' >/dev/null
	took "$began"
}

first_row() {
	local n began
	: >"$WORK/ms"
	for ((n = 0; n < STARTS; n++)); do
		made_and_started "$1" "first$n"
		echo "$MS" >>"$WORK/ms"
		server_stop "$1" "first$n"
		branch_drop "$1" "first$n"
	done
	record first-row p50 "$1" "$(percentile 50 <"$WORK/ms")" ms less \
		"$(branch_how "$1" first); start; SELECT 1"
}

# A branch that has been worked on goes back to its parent. Elsewhere: delete and make it again.
reset() {
	local began how
	branch_make "$1" again
	server_start "$1" again
	query 'UPDATE pgbench_accounts SET abalance = 1 WHERE aid % 100 = 0'
	server_stop "$1" again
	how="$(branch_delete_how "$1" again) && $(branch_how "$1" again)"
	[[ $1 != cowfs* ]] || how="$COWFS --store $STORE -q branch reset again --yes"
	began=${EPOCHREALTIME/./}
	eval "$how" >/dev/null
	took "$began"
	record reset "" "$1" "$MS" ms less "$how"
}

branch() {
	many "$1"
	first_row "$1"
	reset "$1"
}

# postgres' own ways; the server runs already, so the first row follows at once.
record_inside() {
	local began
	began=${EPOCHREALTIME/./}
	eval "$2" >/dev/null
	took "$began"
	record create-p50 command "$1" "$MS" ms less "$2"
	psql -XAtq copy -c 'SELECT 1' >/dev/null
	took "$began"
	record first-row p50 "$1" "$MS" ms less "$2; SELECT 1"
	dropdb copy
}
inside() {
	branch_make host inside
	server_start host inside
	record_inside template "psql postgres -XAtqc 'CREATE DATABASE copy TEMPLATE bench'"
	record_inside template-file-copy \
		"psql postgres -XAtqc 'CREATE DATABASE copy TEMPLATE bench STRATEGY file_copy'"
	record_inside dump-restore 'createdb copy && pg_dump -Fc bench | pg_restore -d copy'
}

# The longest commit while branches are made from the parent that works, and without them.
stall() {
	local how n ends load
	branch_make "$1" busy
	server_start "$1" busy
	tps -c 8 -j 2 -T "$STALL_FOR" -l --log-prefix="$WORK/calm" >/dev/null
	tps -c 8 -j 2 -T "$STALL_FOR" -l --log-prefix="$WORK/busy" >/dev/null &
	load=$!
	sleep 1
	ends=$((SECONDS + STALL_FOR - 1))
	: >"$WORK/ms"
	for ((n = 0; SECONDS < ends; n++)); do
		branch_make "$1" "of$n" busy
		echo "$MADE_MS" >>"$WORK/ms"
		sleep 1
	done
	wait "$load"
	how=$(branch_how "$1" of busy)
	record_spread create busy "$1" "$WORK/ms" "pgbench -n -c 8 on the parent; $how"
	record commit-longest calm "$1" "$(longest calm)" ms less "pgbench -n -c 8 -j 2 -T $STALL_FOR -l"
	record commit-longest "branch create every s" "$1" "$(longest busy)" ms less \
		"pgbench -n -c 8 -j 2 -T $STALL_FOR -l; $how"
	rm -f "$WORK"/calm.* "$WORK"/busy.*
}
longest() { cat "$WORK/$1".* | awk '$3 > max { max = $3 } END { print max / 1000 }'; }

rounds branch branch host cowfs xfs btrfs overlay cowfs-ephemeral
for ((ROUND = 1; ROUND <= ROUNDS; ROUND++)); do cell inside host inside; done
rounds stall stall cowfs btrfs
bench_end
