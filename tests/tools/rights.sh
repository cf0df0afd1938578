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
