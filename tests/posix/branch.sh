#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The same cases on a branch, and on a branch of it; the store is without a fault afterwards.
# timeout 600
. "$(dirname "$0")/../lib/lib.sh"
requires fuse cowfs
store_new
mount_store
contains "$(findmnt -no OPTIONS "$M")" noatime
cowfs branch create main --empty >&2
mkdir "$M/main/cases"
bad=0
"$COWFS_BUILD/tests/posix" "$M/main/cases" || bad=1
cowfs branch create child --parent main >&2
[[ -d $M/child/cases ]] || fail "the child does not show its parent's directory"
mkdir "$M/child/again"
COWFS_POSIX_NAMES=20000 "$COWFS_BUILD/tests/posix" "$M/child/again" || bad=1
[[ ! -e $M/main/again ]] || fail "the parent sees its child's directory"
unmount_store
cowfs verify >&2
((bad == 0)) || fail "a case failed"
