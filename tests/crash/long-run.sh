#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A long run: branches, resets, restores, snapshots, deletes, pgbench (at a fixed rate), killed servers and a killed
# daemon, in random order for as long as told. Every few minutes it comes to rest: everything but the golden branch is
# deleted and collected. At the last rest memory, descriptors, threads and disk must be where they were at the first.
#
#   tests/crash/long-run.sh [--minutes N] [--seed N] [--report DIR]     default 60 minutes, report in build/test/long-run
#
# The report: samples.tsv (a line every 5 seconds), rests.tsv, long-run.png (with gnuplot), summary.txt.
# long: one hour
# timeout 5400
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres cowfs
minutes=60 seed=$RANDOM report=$COWFS_BUILD/long-run
while (($#)); do
	case $1 in
	--minutes) minutes=$2 && shift ;;
	--seed) seed=$2 && shift ;;
	--report) report=$2 && shift ;;
	*) fail "unknown option $1" ;;
	esac
	shift
done
RANDOM=$seed
mkdir -p "$report"
report=$(realpath "$report")
rm -f "$report"/{samples,rests,events}.tsv "$report/summary.txt"
LIMIT=300 # seconds: the machine may be busy with other things, or the run may be paused
pg_init_bank "$T/source" 2 "" 'shared_buffers = 8MB'
store_new
mount_store
cowfs -q import "$T/source" golden >&2
rm -rf "$T/source"

declare -A count=()
began=$SECONDS rounds=0
did() { count[$1]=$((${count[$1]:-0} + 1)); }
event() { printf '%s\t%s\n' $((SECONDS - began)) "$1" >>"$report/events.tsv"; }

# --- what is measured ---

# sample: seconds, resident kB, descriptors, threads, kB on the host's disk; nothing while the daemon is away.
sample() {
	local pid rss threads fds disk
	pid=$(<"$T/daemon") || return 0
	rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status" 2>/dev/null) && threads=$(awk '/^Threads/ { print $2 }' "/proc/$pid/status" 2>/dev/null) &&
		fds=$(ls "/proc/$pid/fd" 2>/dev/null | wc -l) || return 0
	disk=$(du -sk "$COWFS_STORE" 2>/dev/null | cut -f1)
	[[ -n $rss && -n $threads ]] || return 0
	printf '%s\t%s\t%s\t%s\t%s\n' $((SECONDS - began)) "$rss" "$fds" "$threads" "${disk:-0}"
}
daemon_pid >"$T/daemon"
while [[ -e $T/daemon ]]; do
	sample >>"$report/samples.tsv"
	sleep 5
done 2>/dev/null &
sampler=$!
on_exit "rm -f '$T/daemon'; kill $sampler"

# --- what is done ---

# Each sets $picked, "" when there is none: in this shell, so that the seed decides.
pick() {
	picked=
	(($# == 0)) || { shift $((RANDOM % $#)) && picked=$1; }
}
# shellcheck disable=SC2046
pick_branch() { pick $(cowfs -q branch list | grep -vxE 'golden|live'); }
# shellcheck disable=SC2046
pick_snapshot() {
	pick $(cowfs -q snapshot list live)
	picked=${picked:+live@${picked#live@}}
}
# ends PID WHAT: with whatever status; a client never hangs on a dead mount.
ends() {
	local end=$((SECONDS + LIMIT))
	while ! not_running "$1"; do
		((SECONDS < end)) || fail "$2 hangs"
		sleep 0.1
	done
	wait "$1" || true
}
live_begin() {
	branch live -q --parent golden
	live_start
}
live_start() {
	pg_start "$M/live"
	pg_client_background "$M/live" "$T/bench" pgbench -n -c 2 -R 25 -T 100000 postgres
	bench=$client
}
live_end() {
	local end=$((SECONDS + LIMIT))
	# More than once: between its fork and its exec a signal would go to a copy of this shell.
	while ! not_running "$bench"; do
		kill "$bench" 2>/dev/null || true
		((SECONDS < end)) || fail "pgbench hangs"
		sleep 0.2
	done
	wait "$bench" || true
	pg_stop "$M/live"
}
do_branch() { # of the golden branch, of the one under load, or of a snapshot
	local parent=golden
	case $((RANDOM % 3)) in
	1) parent=live ;;
	2)
		pick_snapshot
		parent=${picked:-live}
		;;
	esac
	branch "b$rounds" -q --parent "$parent"
}
do_use() { # a server on a branch: some transactions, sums, and an end of its own kind
	local b
	pick_branch
	b=$picked
	[[ -n $b ]] || return 0
	pg_start "$M/$b"
	pg_client "$M/$b" pgbench -n -c 2 -t 40 postgres >"$T/use" 2>&1 || fail "pgbench on $b: $(tail -3 "$T/use")"
	same "$(pgbench_sums "$M/$b")" t "sums of $b"
	case $((RANDOM % 3)) in
	0) pg_kill "$M/$b" && did server-killed ;;
	1) pg_stop "$M/$b" immediate ;;
	2) pg_stop "$M/$b" ;;
	esac
}
do_snapshot() { cowfs -q snapshot create live "s$rounds" >&2; }
do_forget() {
	pick_snapshot
	[[ -z $picked ]] || cowfs -q snapshot delete --yes "$picked" >&2
}
do_reset() {
	pick_branch
	[[ -z $picked ]] || cowfs -q branch reset --yes "$picked" >&2
}
do_delete() {
	pick_branch
	[[ -z $picked ]] || drop -q "$picked"
}
do_gc() { cowfs -q gc >&2; }
do_kill() { # of the daemon, and a new one
	kill -9 "$(<"$T/daemon")"
	: >"$T/daemon"
	ends "$bench" pgbench
	pg_kill "$M/live" || true
	timeout "$LIMIT" "$COWFS" mount "$COWFS_STORE" "$M" >"$T/.mount" 2>&1 </dev/null || fail "mount: $(<"$T/.mount")"
	daemon_pid >"$T/daemon"
	event kill
	live_start
	same "$(pgbench_sums "$M/live")" t "sums after the daemon was killed"
}
# rest: nothing left but the golden branch; what the daemon holds then, and the disk, is noted.
rest() {
	local b
	live_end
	check_stopped "$M/live"
	for b in $(cowfs -q branch list | grep -vx golden); do drop -q "$b"; done
	cowfs -q gc >&2
	verify_store
	sleep 6 # memory goes back, descriptors of deleted branches close
	sample | tee -a "$report/rests.tsv" >>"$report/samples.tsv"
	event rest
}

live_begin
sleep 20
do_snapshot
do_branch
do_use
rest
# Kills in the first half: in the second one daemon has to keep its shape.
next_rest=$((SECONDS + 240)) next_kill=$((SECONDS + 60))
end=$((began + minutes * 60))
live_begin
while ((SECONDS < end)); do
	rounds=$((rounds + 1))
	pick branch branch branch use use use snapshot snapshot forget reset delete delete gc
	what=$picked
	[[ $what != branch ]] || (($(cowfs -q branch list | wc -l) < 9)) || what=delete
	"do_$what"
	did "$what"
	if ((SECONDS > next_kill && SECONDS - began < minutes * 30)); then
		do_kill
		did daemon-killed
		next_kill=$((SECONDS + 45 + RANDOM % 60))
	fi
	if ((SECONDS > next_rest && SECONDS < end)); then
		rest
		next_rest=$((SECONDS + 240))
		live_begin
	fi
	sleep 0.$((RANDOM % 9))
done
rest
ran=$(((SECONDS - began) / 60))

# --- the report ---

did_all=$(for what in "${!count[@]}"; do echo "${count[$what]} $what"; done | sort -k2 | paste -sd, | sed 's/,/, /g')
{
	echo "ran $ran minutes, seed $seed, $(wc -l <"$report/rests.tsv") rests: $did_all"
	echo "at rest    memory kB  descriptors  threads  disk kB"
	for which in first last; do
		printf '%-10s %s\n' "$which" "$( ([[ $which == first ]] && head -1 || tail -1) <"$report/rests.tsv" | cut -f2- | tr '\t' ' ')"
	done
} | tee "$report/summary.txt" >&2
if command -v gnuplot >/dev/null; then
	marks=$(awk -F'\t' '{ printf "set arrow from first %f, graph 0 to first %f, graph 1 nohead lc rgb \"%s\" lw 0.6\n", $1 / 60, $1 / 60, $2 == "kill" ? "#d62728" : "#bbbbbb" }' "$report/events.tsv")
	panel() { printf 'set title "%s"\nplot "%s/samples.tsv" using ($1/60):($%s/%s) with lines lc rgb "%s" lw 1.2 notitle\n' "$1" "$report" "$2" "$3" "$4"; }
	gnuplot <<-PLOT || note "gnuplot failed"
		set terminal pngcairo size 900,720 font "sans,9"
		set output "$report/long-run.png"
		set multiplot layout 2,2 title "cowfs under random work for $ran minutes (red: daemon killed, grey: at rest)"
		set yrange [0:*]
		set xlabel "minutes"
		$marks
		$(panel "daemon, memory (MB)" 2 1024 "#1f77b4")
		$(panel "daemon, descriptors" 3 1 "#2ca02c")
		$(panel "daemon, threads" 4 1 "#9467bd")
		$(panel "store, disk (MB)" 5 1024 "#ff7f0e")
		unset multiplot
	PLOT
else
	note "no gnuplot: no curve"
fi
back() { # back WHAT COLUMN ALLOWED: the last rest against the first
	local first last
	first=$(head -1 "$report/rests.tsv" | cut -f"$2") last=$(tail -1 "$report/rests.tsv" | cut -f"$2")
	((last <= first + $3)) || fail "$1: $first at the first rest, $last at the last (more than $3 above)"
}
back "memory, kB" 2 65536
back descriptors 3 16
back threads 4 8
back "disk, kB" 5 65536
