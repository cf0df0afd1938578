#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# stress-ng's stressors of files, directories, links, renames, holes and maps, each checking what it reads (--verify):
# on the host first, then on a branch and on its child, with snapshots and gc going on. Left out: extended attributes, and
# symlink, which wants back the absolute target that a branch stores relative (what points into it stays in it).
# long: some minutes of load
# timeout 1200
. "$(dirname "$0")/../lib/lib.sh"
requires fuse cowfs stress-ng
stressors=(hdd dentry dir dirdeep dirmany fallocate fiemap filename flock fpunch getdent lease link lockf lockofd mmapfork open rename seek sync-file touch unlink utime)
stress_in() { # stress_in DIR
	local s args=()
	mkdir -p "$1"
	for s in "${stressors[@]}"; do
		stress-ng --stressors | tr ' ' '\n' | grep -qx "$s" || continue
		stress-ng --temp-path "$1" --"$s" 2 --timeout 3s --verify --oomable >"$T/stress.log" 2>&1 ||
			fail "stress-ng --$s in $1: $(grep -iE 'fail|error' "$T/stress.log" | head -5)"
		done_of+=("$s")
	done
}
done_of=()
stress_in "$T/host"
host=${#done_of[@]}
store_new
mount_store
branch main --empty -q
(while sleep 1 && [[ ! -e $T/enough ]]; do
	cowfs snapshot create main >/dev/null 2>&1 || true
	cowfs gc >/dev/null 2>&1 || true
done) &
load=$!
stress_in "$M/main/base"
branch child --parent main -q
stress_in "$M/child/x"
touch "$T/enough"
wait "$load"
same "${#done_of[@]}" $((3 * host)) "stressors that ran"
((host >= 15)) || fail "only $host stressors are known here"
unmount_store
verify_store
note "$host stressors each on the host, on a branch and on its child"
