#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scale.sh: what becomes of create and of reads when there is a lot of everything?
#
# Four axes, one at a time, on cowfs: depth of forks (each level has rewritten some blocks of the
# database), snapshots on one branch (a block rewritten between any two), number of branches, size of
# the base. A rewritten block keeps its contents, so the databases are the same everywhere.
. "$(dirname "$0")/lib.sh"
bench_begin "$@"

# rewriter BRANCH: for a shell, with $1: that block (modulo its length) of the largest file gets written with what it holds.
rewriter() {
	local file blocks
	file=$(largest_file "$WORK/branches/$1")
	blocks=$(($(stat -c %s "$file") / 8192))
	printf 'at=$(($1 * 7919 %% %s)); dd if=%q of=%q bs=8192 skip="$at" seek="$at" count=1 conv=notrunc,fsync status=none' \
		"$blocks" "$file" "$file"
}

# figures AXIS X PARENT: on a branch of PARENT.
figures() {
	local began
	"$BENCH/ask" "$STORE" branch.create "{\"name\": \"ax-%d\", \"parent\": \"$3\"}" "$CREATES" |
		awk '{ print $1 / 1000 }' >"$WORK/ms"
	record "$1-create" "" cowfs "$(percentile 50 <"$WORK/ms")" ms less "ask branch.create" "$2"
	record "$1-create-p99" "" cowfs "$(percentile 99 <"$WORK/ms")" ms less "ask branch.create" "$2"
	"$BENCH/ask" "$STORE" branch.delete '{"names": ["ax-%d"]}' "$CREATES" >/dev/null
	branch_make cowfs ax "$3"
	began=${EPOCHREALTIME/./}
	server_start cowfs ax
	psql -XAtq postgres -c 'SELECT 1' >/dev/null
	took "$began"
	record "$1-first-row" "" cowfs "$MS" ms less "cowfs start; SELECT 1" "$2"
	[[ $1 == base ]] && return
	cat "$WORK"/branches/ax/base/*/* >/dev/null
	AXIS=$2 record_tps "$1-select" warm cowfs -S -c 8 -j 2 -T "$SELECT"
}

# each AXIS FUNCTION X...: figures at every place, interleaved.
each() {
	local axis=$1 function=$2 x
	shift 2
	for ((ROUND = 1; ROUND <= ROUNDS; ROUND++)); do
		for x in "$@"; do cell "$axis" cowfs at "$axis" "$x" "$("$function" "$x")"; done
	done
}
at() { figures "$2" "$3" "$4"; }

# --- depth ---
depth_name() { (($1)) && echo "depth$1" || echo main; }
depth_make() {
	local n k last
	last=$(printf '%s\n' $DEPTHS | sort -n | tail -1)
	for ((n = 1; n <= last; n++)); do
		"$COWFS" --store "$STORE" -q branch create "depth$n" --parent "$(depth_name $((n - 1)))" >/dev/null
		for k in 1 2 3 4; do sh -c "$(rewriter "depth$n")" sh $((n * 4 + k)); done
	done
}

# --- snapshots ---
snapshots_name() { (($1)) && echo "snaps$1" || echo main; }
snapshots_make() {
	local x
	for x in $SNAPSHOTS; do
		((x)) || continue
		"$COWFS" --store "$STORE" -q branch create "snaps$x" --parent main >/dev/null
		"$BENCH/ask" "$STORE" snapshot.create "{\"branch\": \"snaps$x\", \"name\": \"s%d\"}" "$x" 1 \
			"$(rewriter "snaps$x")" | percentile 50 >"$WORK/p50"
		record snapshot-create p50 cowfs "$(awk '{ print $1 / 1000 }' "$WORK/p50")" ms less \
			"ask snapshot.create, x times on one branch" "$x"
	done
}

# --- branches ---
count_axis() {
	local x have=0
	for x in $COUNTS; do
		"$BENCH/ask" "$STORE" branch.create '{"name": "crowd-%d", "parent": "main"}' \
			$((x - have)) $((have + 1)) >/dev/null
		have=$x
		for ((ROUND = 1; ROUND <= ROUNDS; ROUND++)); do cell branches cowfs at branches "$x" main; done
		ROUND=1 record daemon-rss "" cowfs "$(daemon_rss_mib)" MiB less "VmRSS of the daemon" "$x"
	done
	"$BENCH/ask" "$STORE" branch.delete '{"names": ["crowd-%d"]}' "$have" >/dev/null
	quiesce
}
daemon_rss_mib() {
	awk '/^VmRSS/ { print $2 / 1024 }' \
		"/proc/$("$COWFS" --store "$STORE" status -o json | jq .pid)/status"
}

# --- size of the base; above 10 GiB the files are holes ---
base_axis() {
	local x
	for x in $BASES_MIB; do
		ROUND=1
		if ! size_make "$x"; then
			record_missing base cowfs "a base of $x MiB could not be made (room?)"
			rm -rf -- "$WORK/size" "$WORK/noise"
			continue
		fi
		for ((ROUND = 1; ROUND <= ROUNDS; ROUND++)); do cell base cowfs at base "$x" "size$x"; done
		"$COWFS" --store "$STORE" -q branch delete "size$x" --yes >/dev/null
		quiesce
	done
}
size_make() {
	local data=$WORK/size n dir free
	free=$(df --output=avail -B1M "$WORK/cowfs" | tail -1)
	(($1 > 10240 || free > $1 + 512)) || return 1
	install -d -o postgres -g postgres -m 700 "$data"
	as_postgres initdb -D "$data" -A trust -U postgres -E UTF8 --no-locale >/dev/null || return
	echo "listen_addresses = ''" >>"$data/postgresql.conf"
	dir=$(dirname "$(largest_file "$data")")
	head -c 64M /dev/urandom >"$WORK/noise"
	for ((n = 0; n < $1 / 64; n++)); do
		if (($1 > 10240)); then
			truncate -s 64M "$dir/$((70000 + n))"
		else
			cp "$WORK/noise" "$dir/$((70000 + n))" || return
		fi
	done
	chown -R postgres:postgres "$dir"
	"$COWFS" --store "$STORE" -q import "$data" "size$1" >/dev/null || return
	rm -rf -- "$data" "$WORK/noise"
}

if wanted cowfs; then
	note "scale: forks"
	ROUND=1 depth_make
	each depth depth_name $DEPTHS
	note "scale: snapshots"
	ROUND=1 snapshots_make
	each snapshots snapshots_name $SNAPSHOTS
	count_axis
	base_axis
fi
bench_end
