#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The time to make a branch depends neither on the size of its parent nor on the number of branches.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse cowfs
store_new
mount_store
cowfs -q branch create small --empty >&2
cowfs -q branch create large --empty >&2
for d in small large; do mkdir -p "$M/$d/base/5"; done
head -c 1M /dev/urandom >"$M/small/base/5/1000"
# 50 GB, sparse, and 20,000 blocks of it written.
for ((k = 0; k < 50; k++)); do
	truncate -s 1G "$M/large/base/5/1000.$k"
	dd if=/dev/zero of="$M/large/base/5/1000.$k" bs=8k count=400 conv=notrunc status=none
done
sync -f "$M/large/base/5/1000.1"
median() { # median PARENT PREFIX N: milliseconds for `branch create`, the command included
	local k start
	for ((k = 0; k < $3; k++)); do
		start=$(date +%s%N)
		cowfs -q branch create "$2$k" --parent "$1" >/dev/null
		echo $((($(date +%s%N) - start) / 100000))
	done | sort -n | sed -n "$(($3 / 2 + 1))p"
}
a=$(median small s 20)
b=$(median large l 20)
for ((k = 0; k < 300; k++)); do cowfs -q branch create "many$k" --parent large >/dev/null; done
c=$(median large m 20)
note "tenths of a millisecond, the command included: small $a, 50 GB $b, with 340 branches $c"
at_most "$b" $((3 * a + 50)) "50 GB against 1 MB"
at_most "$c" $((3 * a + 50)) "with 340 branches"
verify_store
