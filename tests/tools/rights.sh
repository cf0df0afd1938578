#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who may do what: the socket serves the owner and root, root leaves nothing behind in somebody's store.
. "$(dirname "$0")/../lib/lib.sh"
requires root setpriv cowfs
id nobody >/dev/null || skip "needs the user nobody"
as_nobody() { setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$COWFS" "$@"; }
cd /

# --- a store of root is closed to others, with and without a daemon ---
store_new
cowfs branch create main --empty >&2
exits 4 as_nobody --store "$COWFS_STORE" branch list
chmod 711 "$COWFS_STORE"
exits 4 as_nobody --store "$COWFS_STORE" branch list
chmod 700 "$COWFS_STORE"

# --- root may work on a store of somebody else, who can go on afterwards ---
export COWFS_STORE=$T/theirs/store
install -d -o nobody "$T/theirs"
exits 0 as_nobody init "$COWFS_STORE"
exits 0 as_nobody branch create main --empty
exits 0 cowfs branch create by-root
exits 0 cowfs snapshot create main s
exits 0 cowfs verify
same "$(find "$COWFS_STORE" ! -user nobody)" "" "files of others in the store of nobody"
exits 0 as_nobody branch delete by-root --yes
exits 0 as_nobody verify
mkdir "$T/mnt"
exits 4 cowfs mount "$COWFS_STORE" "$T/mnt"
contains "$err" nobody

# --- the daemon asks the kernel who is there, whatever the mode of the socket ---
export COWFS_STORE=$T/store
if [[ -c /dev/fuse ]]; then
	mount_store
	chmod 711 "$COWFS_STORE"
	chmod 666 "$COWFS_STORE/control.sock"
	exits 4 as_nobody --store "$COWFS_STORE" branch list
	exits 4 as_nobody --store "$COWFS_STORE" branch delete main --yes
	exits 0 cowfs branch get main
	unmount_store
fi

# --- nothing is open to anybody else, whatever the umask; logs hold no passwords ---
export COWFS_STORE=$T/open
(
	umask 000
	cowfs init "$COWFS_STORE" >&2
	mkdir -m 755 "$T/open.mnt"
	cowfs mount "$COWFS_STORE" "$T/open.mnt" >&2
	cowfs -q branch create main --empty >&2
	cowfs -q branch create b >&2
	cowfs -q snapshot create main s >&2
)
M=$T/open.mnt
on_exit "unmount_forced '$M'"
dd if=/dev/urandom of="$M/main/file" bs=8k count=20 status=none conv=fsync
same "$(find "$COWFS_STORE" -perm /o=rwx ! -type l -printf '%M %p\n')" "" "open to others in the store"
same "$(find "$COWFS_STORE" -perm /g=rwx ! -type l -printf '%M %p\n')" "" "open to the group in the store"
same "$(stat -c %a "$M/main")" 700 "mode of a branch"
as_nobody --store "$COWFS_STORE" status >"$T/.out" 2>&1 && fail "nobody sees the status"
setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups cat "$M/main/file" >/dev/null 2>&1 && fail "nobody reads a branch through the mount"

# --- the daemon keeps no right that it does not need: every thread of it, but the helper that unmounts ---
pid=$(daemon_pid)
for task in /proc/"$pid"/task/*; do
	status=$(<"$task/status")
	contains "$status" "NoNewPrivs:	1"
	same "$(sed -n 's/^CapEff:\t0*//p' <<<"$status")" "" "capabilities in force in thread ${task##*/}"
	# CHOWN, DAC_OVERRIDE, FOWNER, IPC_OWNER: for an import of files of others, and only while it runs.
	(((0x$(sed -n 's/^CapPrm:\t//p' <<<"$status") & ~0x800b) == 0)) || fail "permitted in thread ${task##*/}: $(grep CapPrm <<<"$status")"
done
# Not dumpable: its files in /proc belong to root, also when the daemon does not.
[[ $(stat -c %u /proc/"$pid"/environ) == 0 ]] || fail "the daemon can be traced"
# A forced unmount is made by the helper, also while files are open.
exec 9>"$M/main/held"
cowfs unmount --force "$M" >&2
exec 9>&- || true
! grep -q " $M fuse" /proc/self/mounts || fail "the mount is still there"

# --- as a plain user: fusermount3 mounts and unmounts, nobody else sees in ---
if [[ -c /dev/fuse && $(stat -c %A /dev/fuse) == *rw? ]] && command -v fusermount3 >/dev/null; then
	install -d -o nobody "$T/plain"
	as_nobody init "$T/plain/store" >&2
	install -d -o nobody "$T/plain/mnt"
	if as_nobody mount "$T/plain/store" "$T/plain/mnt" >"$T/.out" 2>&1; then
		on_exit "setpriv --reuid=nobody --regid=$(id -g nobody) --clear-groups '$COWFS' unmount --force '$T/plain/mnt'"
		as_nobody --store "$T/plain/store" branch create main --empty >&2
		ls "$T/plain/mnt/main" >/dev/null 2>&1 && fail "another user, root even, reads a plain user's mount"
		pid=$(as_nobody --store "$T/plain/store" -o json status | json pid)
		same "$(sed -n 's/^NoNewPrivs:\t//p' "/proc/$pid/status")" 1 "NoNewPrivs of a plain user's daemon"
		as_nobody unmount "$T/plain/mnt" >&2
		! grep -q " $T/plain/mnt fuse" /proc/self/mounts || fail "a plain user cannot unmount"
	else
		note "a plain user cannot mount here: $(<"$T/.out")"
	fi
fi
