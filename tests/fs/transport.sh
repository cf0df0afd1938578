#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How the kernel is spoken to: over io_uring where kernel, library and its parameter allow it, else over /dev/fuse; what
# was asked for, or an error with the remedy; status says which, the log why. A store may change between them.
# timeout 120
# Mounts of its own: the kernel's parameter reads otherwise in them.
. "$(dirname "$0")/../lib/own-mounts.sh"
. "$(dirname "$0")/../lib/lib.sh"
unset COWFS_TEST_TRANSPORT
requires fuse root cowfs
parameter=/sys/module/fuse/parameters/enable_uring
transport() { cowfs -o json status | json transport; }
store_new
log=$COWFS_STORE/log/cowfs.log
mount_store
first=$(transport)
cowfs -q branch create main --empty >&2
mkdir -p "$M/main/base/5"
unmount_store
if [[ $first == classic ]]; then
	contains "$(<"$log")" "classic transport: "
	exits 1 cowfs mount "$COWFS_STORE" "$M" --transport io_uring
	contains "$err" "no FUSE over io_uring: "
	skip "the rest needs FUSE over io_uring: $(sed -n 's/.*classic transport: //p' "$log" | tail -1)"
fi

note "from one to the other, eight times: what was written over one is read over the other"
for ((k = 0; k < 8; k++)); do
	((k % 2)) && as=io_uring || as=classic
	mount_store "$M" --transport $as
	same "$(transport)" $as
	head -c 3000000 /dev/urandom >"$M/main/base/5/$((16384 + k))"
	(cd "$M/main/base/5" && sha256sum "$((16384 + k))") >>"$T/sums"
	(cd "$M/main/base/5" && sha256sum --check --quiet "$T/sums") || fail "over $as something else is read"
	unmount_store
done
verify_store

note "the parameter is off, and root may switch it on"
echo N >"$T/parameter"
mount --bind "$T/parameter" "$parameter"
on_exit "umount '$parameter'"
mount_store
same "$(transport)" io_uring
same "$(<"$parameter")" Y
contains "$(<"$log")" "switched on ($parameter)"
unmount_store

note "it is off and cannot be switched on"
echo N >"$T/parameter"
mount -o remount,bind,ro "$parameter"
exits 1 cowfs mount "$COWFS_STORE" "$M" --transport io_uring
contains "$err" "echo Y > $parameter"
mount_store
same "$(transport)" classic
contains "$(<"$log")" "classic transport: $parameter is N and cannot be changed"
(cd "$M/main/base/5" && sha256sum --check --quiet "$T/sums") || fail "something else is read"
