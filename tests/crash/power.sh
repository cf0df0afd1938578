#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout 900
# Power loss under postgres: pgbench runs on a mounted store whose host calls are recorded, with snapshots, branches,
# deletes and gc beside it; then the store is rebuilt as it may look at random moments, and at each of them: verify is
# clean, postgres recovers, every commit and every snapshot that was acknowledged before is there, sums agree.
#
#   tests/crash/power.sh [--cuts N] [--seconds N] [--seed N] [--keep]    default 30 cuts, 10 seconds of recording
#
# The import before it is recorded too: cut at any moment, the branch is there as a whole or not at all.
#
# The oracle: pgbench -l notes when the answer to each insert arrived, by the clock of the recorder.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres cowfs
cuts=30 seconds=10 seed=$RANDOM keep=
[[ -z $COWFS_LONG ]] || cuts=1000 seconds=60
while (($#)); do
	case $1 in
	--cuts) cuts=$2 && shift ;;
	--seconds) seconds=$2 && shift ;;
	--seed) seed=$2 && shift ;;
	--keep) keep=1 ;;
	*) fail "unknown option $1" ;;
	esac
	shift
done
tool=$COWFS_BUILD/tests/crash
[[ -x $tool/power_cut && -f $tool/libpower_record.so ]] || skip "the recorder is not built"
margin=${COWFS_POWER_MARGIN:-2000000} # (below zero it has to fail) ns: pgbench notes microseconds, and its clock was set against ours at its start
# In memory if there is room: a cut is then a second or two.
lab=$T
if [[ -d /dev/shm ]] && (($(df --output=avail -B1M /dev/shm | tail -1) > 3000)); then
	lab=$(mktemp -d /dev/shm/cowfs-power.XXXXXX)
	on_exit "rm -rf '$lab'"
fi
now_ns() { date +%s%N; }

# --- the recording ---

pg_init_bank "$T/source" 1 "create table acked(client int, n int, primary key(client, n))" 'checkpoint_timeout = 30s'

# recorded LOG COMMAND...: cowfs, and the daemon that it starts, under the recorder.
recorded() {
	local log=$1
	shift
	POWER_DIR=$lab/store POWER_LOG=$log LD_PRELOAD=$tool/libpower_record.so "$COWFS" "$@" </dev/null >&2
	[[ -s $log ]] || fail "nothing is recorded"
}
store_new "$lab/store"
M=$T/mnt
mkdir -p "$M"
on_exit "unmount_forced '$M'"
cp -a --sparse=always "$lab/store" "$lab/base.import"
recorded "$lab/log.import" -q mount "$COWFS_STORE" "$M"
recorded "$lab/log.import" -q import "$T/source" main
imported=$(now_ns)
rm -rf "$T/source"
unmount_store
cp -a --sparse=always "$lab/store" "$lab/base"
recorded "$lab/log" -q mount "$COWFS_STORE" "$M"
method=$( ((seed % 2)) && echo open_datasync || echo fdatasync)
pg_start "$M/main" -c wal_sync_method="$method"
install -d -o postgres "$T/acks"
# The last expression keeps its value from one transaction to the next.
printf '%s\n' '\set n :n + 1' 'insert into acked values (:client_id, :n);' >"$T/acked.sql"
began=$(now_ns)
pg_client_background "$M/main" "$T/bench" pgbench -n -c 2 -R 300 -T "$seconds" postgres
bench=$client
pg_client_background "$M/main" "$T/ackbench" pgbench -n -c 3 -R 400 -T "$seconds" -f "$T/acked.sql" -D n=0 -l --log-prefix="$T/acks/log" postgres
acker=$client
# What was made and deleted, and when it was asked for and answered.
k=0
: >"$lab/points"
while kill -0 "$bench" 2>/dev/null; do
	k=$((k + 1))
	asked=$(now_ns)
	cowfs -q snapshot create main "s$k" >&2
	echo "s$k $asked $(now_ns)" >>"$lab/points"
	case $((k % 6)) in
	1) cowfs -q branch create "b$k" --parent main ;;
	2) cowfs -q branch create "c$k" --parent "main@s$((k - 1))" ;;
	3) cowfs -q branch delete --yes "b$((k - 2))" ;;
	4)
		echo "s$((k - 2)) deleted $(now_ns)" >>"$lab/points"
		cowfs -q snapshot delete --yes "main@s$((k - 2))"
		;;
	5) cowfs -q gc ;;
	esac >&2
	sleep 0.2
done
wait "$bench" "$acker" || true
lacks "$(<"$T/bench")$(<"$T/ackbench")" "ERROR"
pg_stop "$M/main"
unmount_store
cat "$T"/acks/log* >"$lab/acks"
note "recorded: $("$tool/power_cut" "$lab/log"), $(wc -l <"$lab/acks") acknowledged commits, $(grep -vc deleted "$lab/points") snapshots, $method, $(du -sm "$lab/log" | cut -f1) MB"

# --- the cuts ---

# acked_before NS: "client n" for each client, n = how many answers it had by then.
acked_before() {
	awk -v t="$1" '($5 * 1000000 + $6) * 1000 < t { n[$1]++ } END { for (c in n) print c, n[c] }' "$lab/acks"
}
# points_before NS: snapshots that were acknowledged by then and whose deletion nobody had asked for.
points_before() {
	awk -v t="$1" '$2 == "deleted" { if ($3 < t + 4000000) gone[$1] = 1; next } $3 < t { there[$1] = 1 }
		END { for (s in there) if (!(s in gone)) print s }' "$lab/points"
}
# commits_there DIR NS WHAT: no commit acknowledged by then is missing, and none before another.
commits_there() {
	local c n got
	sql "$1" "select client, count(*), max(n) from acked group by client" >"$T/there"
	acked_before "$2" >"$T/wanted"
	while read -r c n; do
		got=$(awk -F'|' -v c="$c" '$1 == c { print $2, $3 }' "$T/there")
		((${got% *} >= n)) || fail "$3: client $c had $n commits acknowledged, ${got:-none} are there"
		[[ ${got% *} == "${got#* }" ]] || fail "$3: client $c has ${got% *} commits but the last is ${got#* }"
	done <"$T/wanted"
}
one_cut() {
	local k=$1 words time_ns model loss events line point name asked
	words=$("$tool/power_cut" "$lab/log" "$lab/base" "$lab/cut" $((seed * 100000 + k)) "$began")
	eval "$words"
	line="cut $k (seed $seed: $words)"
	time_ns=$((time_ns - margin))
	export COWFS_STORE=$lab/cut
	cowfs verify >"$T/verify" 2>&1 || fail "$line: cowfs verify: $(tail -n 20 "$T/verify")"
	mount_store "$T/mnt"
	cowfs -q snapshot list main >"$T/list"
	points_before "$time_ns" >"$T/points"
	while read -r point; do
		grep -qE "(^|@)$point( |\$)" "$T/list" || fail "$line: snapshot $point is missing: $(tr '\n' ' ' <"$T/list")"
	done <"$T/points"
	# Nothing of before the cut runs; on this machine somebody else may have its number by now.
	rm -f "$M/main/postmaster.pid"
	pg_start "$M/main"
	commits_there "$M/main" "$time_ns" "$line"
	same "$(pgbench_sums "$M/main")" t "$line: sums"
	((k % 10)) || amcheck "$M/main"
	pg_stop "$M/main"
	if ((k % 5 == 0)) && [[ -s $T/points ]]; then
		name=$(sort "$T/points" | sed -n "$((k % $(wc -l <"$T/points") + 1))p")
		asked=$(awk -v s="$name" '$1 == s && $2 != "deleted" { print $2 }' "$lab/points")
		cowfs -q branch create check --parent "main@$name" >&2
		pg_start "$M/check"
		commits_there "$M/check" $((asked - margin)) "$line: branch of $name"
		same "$(pgbench_sums "$M/check")" t "$line: sums of $name"
		amcheck "$M/check"
		pg_stop "$M/check"
		check_stopped "$M/check"
	fi
	unmount_store
	rm -rf "$lab/cut"
}
# During import: the branch is there as a whole or not at all.
one_cut_of_import() {
	local words time_ns model loss events line
	words=$("$tool/power_cut" "$lab/log.import" "$lab/base.import" "$lab/cut" $((seed * 100000 + $1)) "$import_from")
	eval "$words"
	line="import, cut $1 (seed $seed: $words)"
	export COWFS_STORE=$lab/cut
	cowfs verify >"$T/verify" 2>&1 || fail "$line: cowfs verify: $(tail -n 20 "$T/verify")"
	mount_store "$M"
	if cowfs -q branch list | grep -qx main; then
		pg_start "$M/main"
		same "$(sql "$M/main" "select count(*) from pgbench_accounts")" 100000 "$line: rows"
		same "$(pgbench_sums "$M/main")" t "$line: sums"
		pg_stop "$M/main"
		check_stopped "$M/main"
	elif ((time_ns - margin > imported)); then
		fail "$line: the imported branch is missing"
	fi
	unmount_store
	rm -rf "$lab/cut"
}
# The first events say what was there before.
import_from=$(("$("$tool/power_cut" "$lab/log.import" | sed 's/.*from_ns=\([0-9]*\).*/\1/')" + 5000000))
for ((c = 1; c <= (cuts + 4) / 5; c++)); do one_cut_of_import "$c"; done
for ((c = 1; c <= cuts; c++)); do
	[[ -z $keep ]] || note "cut $c"
	one_cut "$c"
done
note "$cuts cuts and $(((cuts + 4) / 5)) of import, nothing acknowledged was missing (seed $seed)"
