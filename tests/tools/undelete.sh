#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A deleted branch comes back with contents, snapshots and settings while its window lasts, to the second, with a daemon
# and without; its name is free meanwhile; --now and purge give space back; limits on branches say what to do.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root python3
clock_start
store_new
rm "$COWFS_STORE/cowfs.conf"
mount_store
cowfs branch create main --empty >&2
exists() { cowfs branch get "$1" >/dev/null 2>&1; }
kept() { cowfs -o json branch list --deleted | python3 -c 'import json, sys; print(*[d["name"] for d in json.load(sys.stdin)["deleted"]])'; }
same_kept() { [[ $(kept) == "$1" ]]; }
used() { du -sk "$COWFS_STORE/ext" | cut -f1; }

# --- there and back ---
cowfs branch create b --ttl 2h >&2
head -c 3M /dev/urandom >"$T/data"
cp "$T/data" "$M/b/data"
cowfs snapshot create b s >&2
echo later >"$M/b/later"
exits 0 cowfs -o json branch delete b --yes
contains "$out" purge_at
exists b && fail "b is still there"
[[ ! -e $M/b ]] || fail "the mount still shows b"
same "$(kept)" b
same "$(cowfs -o json status | json deleted_branches)" 1
exits 0 cowfs snapshot list
lacks "$out" "b@s"
exits 0 cowfs branch create b >&2
exits 5 cowfs branch undelete b
contains "$err" "--as NAME"
exits 0 cowfs branch undelete b --as again
cmp "$T/data" "$M/again/data"
same "$(<"$M/again/later")" later
exits 0 cowfs branch create of-s --parent again@s
[[ ! -e $M/of-s/later ]] || fail "the snapshot shows what came after it"
exits 3 cowfs branch undelete again
cowfs gc >&2
exits 0 cowfs verify

# Of two of one name the one deleted last; the other by its id.
cowfs branch delete b --yes >&2
cowfs branch create b >&2
echo second >"$M/b/f"
cowfs branch delete b --yes >&2
first=$(cowfs -o json branch list --deleted | json deleted.0.id)
cowfs branch undelete b >&2
same "$(<"$M/b/f")" second
cowfs branch undelete "$first" --as b1 >&2
[[ ! -e $M/b1/f ]] || fail "that is not the first"

# --- the window, to the second ---
deleted_at=$(date +%s)
cowfs branch delete again --yes >&2
cowfs branch delete b1 --yes --undelete-window 1h >&2
at() { clock_set $((deleted_at + $1 - $(date +%s))); }
at 3595
sleep 1.2
same "$(kept)" "again b1"
at 3602
eventually 3 same_kept again
at 86395
sleep 1.2
same "$(kept)" again
exits 3 cowfs branch undelete b1
at 86402
eventually 3 same_kept ""
clock_set 0
cowfs gc >&2
exits 0 cowfs verify

# A time to die that is over does not kill it again; a time to live begins anew.
cowfs branch create span --ttl 1h >&2
cowfs branch create day --expires-at 2001-01-01T00:00:00Z >&2
before=$(cowfs -o json branch get span | json expires_at)
cowfs branch delete span day --yes >&2
sleep 0.01
cowfs branch undelete span >&2
cowfs branch undelete day >&2
differ "$(cowfs -o json branch get span | json expires_at)" "$before"
same "$(cowfs -o json branch get day | json expires_at)" null

# --- space ---
big() { cowfs branch create "$1" >&2; head -c 20M /dev/urandom >"$M/$1/big"; sync "$M/$1/big"; }
free_is() { (($(used) < 10240)); }
big now
cowfs branch delete now --yes --now >&2
eventually 10 free_is
same "$(kept)" ""
big later
cowfs branch delete later --yes >&2
cowfs gc >&2
(($(used) > 15000)) || fail "a kept branch lost its blocks"
exits 2 cowfs branch purge
exits 0 cowfs branch purge later --yes
eventually 10 free_is

# --- the configuration; the store without a daemon ---
printf '[branches]\nundelete_window = 0\n' >"$COWFS_STORE/cowfs.conf"
cowfs branch create gone >&2
cowfs branch delete gone --yes >&2
same "$(kept)" ""
printf '[branches]\nundelete_window = soon\n' >"$COWFS_STORE/cowfs.conf"
exits 2 cowfs branch delete b --yes
contains "$err" "section [branches]"
rm "$COWFS_STORE/cowfs.conf"
unmount_store
cowfs branch delete b --yes >&2
same "$(kept)" b
clock_set 90000
cowfs gc >&2
same "$(kept)" ""
clock_set 0

# --- limits ---
mount_store
printf '[branches]\nmax_branches = %s\n' "$(cowfs -q branch list | wc -l)" >"$COWFS_STORE/cowfs.conf"
exits 5 cowfs branch create more
contains "$err" "may have no more than"
contains "$err" "max_branches"
cowfs branch delete of-s --yes >&2
exits 0 cowfs branch create more
exits 5 cowfs branch undelete of-s
printf '[branches]\nmax_unique_bytes = 1M\n' >"$COWFS_STORE/cowfs.conf"
head -c 4M /dev/urandom >"$M/more/big"
sync "$M/more/big"
sleep 11
exits 5 cowfs branch create toomuch
contains "$err" "may take no more than 1.0 MiB"
unmount_store
exits 0 cowfs verify
