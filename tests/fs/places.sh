#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What belongs to the mount and what to a branch: names of branches are not files, other users stay out.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root
store_new
mount_store
cowfs -q branch create main --empty >&2
cowfs -q branch create feature/x --parent main >&2
denied() { # denied COMMAND...: EPERM, and nothing happened
	"$@" 2>"$T/.err" && fail "$* was allowed"
	grep -qiE 'not permitted' "$T/.err" || fail "$*: $(<"$T/.err")"
}
denied mkdir "$M/new"
denied touch "$M/new"
denied mkdir "$M/feature/new"
denied rmdir "$M/main"
denied rmdir "$M/feature"
denied mv "$M/main" "$M/other"
denied mv "$M/feature/x" "$M/feature/y"
denied ln -s main "$M/link"
same "$(ls "$M" | tr '\n' ' ')" "feature main "

# A link between branches would tie them together.
echo secret >"$M/main/f"
ln "$M/main/f" "$M/feature/x/f" 2>/dev/null && fail "a hard link between branches"
mv "$M/main/f" "$M/feature/x/f" # copies: rename(2) must answer EXDEV
[[ ! -e $M/main/f && -e $M/feature/x/f ]] || fail "mv between branches"
lacks "$(find "$M" -printf '%D:%i %y\n' | grep f$ | sort | uniq -d)" ":" # no two files show one number

# Other users neither through the mount nor through the store.
chmod 700 "$M/main" "$M/feature/x"
chmod 600 "$M/feature/x/f"
for p in "$M/feature/x/f" "$COWFS_STORE/VERSION" "$COWFS_STORE/ext" "$COWFS_STORE/map/CURRENT"; do
	setpriv --reuid=65534 --regid=65534 --clear-groups cat "$p" >/dev/null 2>&1 && fail "nobody reads $p"
done
[[ -z $(find "$COWFS_STORE" -perm /o=rwx ! -type l -print -quit) ]] ||
	[[ $(stat -c %a "$COWFS_STORE") == 700 ]] || fail "something in the store is open to everybody"

# A busy mount stays; a branch that is made appears by itself, a deleted one goes.
exec 9<"$M/feature/x/f"
refused cowfs unmount "$M"
mountpoint -q "$M" || fail "a refused unmount unmounted"
exits 5 cowfs branch delete feature/x --yes
exec 9<&-
eventually 5 cowfs -q branch delete feature/x --yes
[[ ! -e $M/feature ]] || fail "the directory of a deleted branch stays"
cowfs -q branch create feature --parent main >&2
[[ -d $M/feature ]] || fail "a new branch does not appear"
unmount_store
verify_store
