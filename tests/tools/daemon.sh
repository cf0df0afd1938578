#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The life of the daemon: one mount per store, the socket, stops that wait, are refused or forced, and sudden death.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse cowfs
store_new
cowfs branch create main --empty >&2
mkdir "$T/mnt" "$T/second"

# --- places ---
exits 3 cowfs mount "$COWFS_STORE" "$T/none"
exits 3 cowfs mount "$T/none" "$T/mnt"
touch "$T/file"
exits 2 cowfs mount "$COWFS_STORE" "$T/file"
touch "$T/mnt/x"
exits 5 cowfs mount "$COWFS_STORE" "$T/mnt"
rm "$T/mnt/x"
mkdir "$COWFS_STORE/inside"
exits 2 cowfs mount "$COWFS_STORE" "$COWFS_STORE/inside"
rmdir "$COWFS_STORE/inside"
exits 2 cowfs mount "$COWFS_STORE" "$T/mnt" --cache nonsense

# --- one mount, its socket, its log ---
mount_store
exits 5 cowfs mount "$COWFS_STORE" "$T/second"
contains "$err" "$M"
exits 5 cowfs mount "$COWFS_STORE" "$M"
same "$(stat -c %a "$COWFS_STORE/control.sock")" 600 "mode of the socket"
same "$(stat -c %a "$COWFS_STORE/log/cowfs.log")" 600 "mode of the log"
same "$(cowfs status -o json | json mountpoint)" "$M"

# --- many clients at once ---
clients=()
for i in {1..40}; do
	cowfs branch create "many/$i" -q >/dev/null &
	clients+=($!)
done
for c in "${clients[@]}"; do wait "$c" || fail "a client failed"; done
same "$(cowfs branch list -q | grep -c '^many/')" 40 "branches made at once"
for i in {1..40}; do [[ -d $M/many/$i ]] || fail "many/$i is not shown"; done

# --- garbage on the socket harms nobody ---
python3 - "$COWFS_STORE/control.sock" <<'PY'
import os, socket, sys
def ask(data):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(sys.argv[1])
    try:
        s.sendall(data)
        return s.makefile("rb").readline()
    except (BrokenPipeError, ConnectionResetError):
        return b'"error"'
    finally:
        s.close()
for data in (b"hello\n", b"[]\n", b"{}\n", b'{"verb":1}\n', b'{"verb":"status","args":[1]}\n', b'{"verb":"no"}\n',
             b'{"verb":"branch.get","args":{"name":7}}\n', b"\xff\xfe\n", b"x" * (3 << 20)):
    assert b'"error"' in ask(data), data[:40]
for n in range(50):
    ask(os.urandom(200) + b"\n")
assert b'"result"' in ask(b'{"verb":"status","args":{}}\n')
PY
exits 0 cowfs status

# --- settings by many at once: none is lost ---
changes=()
for k in {1..12}; do
	cowfs -q branch set main -c "app.k$k=$k" & changes+=($!)
	[[ $k != 3 ]] || { cowfs -q branch set-expiration main --expires-at 2199-01-01T00:00:00Z & changes+=($!); }
	[[ $k != 6 ]] || { cowfs -q branch set main --protected yes & changes+=($!); }
	[[ $k != 9 ]] || { cowfs -q branch set main --max-connections 7 & changes+=($!); }
done
for k in "${changes[@]}"; do wait "$k"; done
settings=$(cowfs -o json branch get main)
for k in {1..12}; do same "$(jq -r ".settings.postgres[\"app.k$k\"]" <<<"$settings")" "$k"; done
same "$(jq -c '[.settings.protected, .settings.max_connections, .settings.expires_at]' <<<"$settings")" '[true,7,"2199-01-01T00:00:00.000000Z"]'
cowfs -q branch set main --protected no

# --- in use: refused, by name ---
exec 7>"$M/main/open"
exits 5 cowfs unmount "$M"
contains "$err" main
exits 5 cowfs branch delete main --yes
echo still >&7
exec 7>&-
same "$(cat "$M/main/open")" still
cd "$M/main"
exits 5 cowfs unmount "$M"
cd "$T"
exits 0 cowfs unmount "$M"
mountpoint -q "$M" && fail "still mounted"
exits 3 cowfs unmount "$M"

# --- a signal waits for what is open, and then stops ---
mount_store
pid=$(daemon_pid)
exec 7>"$M/main/open"
kill "$pid"
sleep 1
echo more >&7
exits 0 cowfs status
exec 7>&-
gone() { ! grep -q " $M fuse" /proc/self/mounts; }
eventually 20 gone

# --- a long check does not keep it: the check ends and says so, and the next daemon has the store at once ---
mount_store
mkdir "$M/main/many"
(cd "$M/main/many" && touch {1..4000})
sync "$M/main"
for i in {1..20}; do cowfs branch create "long/$i" --parent main -q >/dev/null; done
began=$(date +%s%N)
exits 0 cowfs verify
whole=$((($(date +%s%N) - began) / 1000000)) # ms
cowfs verify >"$T/verify.out" 2>"$T/verify.err" &
check=$!
sleep "$(printf '0.%03d' $((whole / 5 > 900 ? 900 : whole / 5)))"
began=$(date +%s%N)
exits 0 cowfs unmount "$M"
took=$((($(date +%s%N) - began) / 1000000))
note "verify takes $whole ms; a stop in the middle of it $took ms"
wait "$check" && fail "the check came to its end: too little to look at"
contains "$(<"$T/verify.err")" "the check has not come to its end"
at_most "$took" $((whole / 2 + 200)) "ms of a stop during a check"
mount_store
for i in {1..20}; do cowfs branch delete "long/$i" --yes -q >/dev/null; done
rm -r "$M/main/many"
exits 0 cowfs unmount "$M"

# --- sudden death: commands work, the next mount clears up, what was synced is there ---
mount_store
echo kept >"$M/main/kept"
sync "$M/main/kept"
kill -9 "$(daemon_pid)"
eventually 10 cowfs branch list
mount_store
same "$(cat "$M/main/kept")" kept
kill -9 "$(daemon_pid)"
exits 0 cowfs unmount "$M"
gone || fail "the dead mount is still there"

# --- by force ---
mount_store
exec 7>"$M/main/open"
exits 0 cowfs unmount "$M" --force
exec 7>&-
gone || fail "still mounted"

# --- in the foreground; settings from the file of the store ---
printf '[mount]\nlog_level = debug\nnonsense = 1\n' >"$COWFS_STORE/cowfs.conf"
exits 2 cowfs mount "$COWFS_STORE" "$M"
contains "$err" nonsense
printf '[mount]\nlog_level = error\n' >"$COWFS_STORE/cowfs.conf"
"$COWFS" mount "$COWFS_STORE" "$M" --foreground 2>"$T/foreground" &
pid=$!
eventually 10 mountpoint -q "$M"
kill "$pid"
wait "$pid" || fail "the daemon ended with $?"
same "$(<"$T/foreground")" "" "what a quiet daemon says"
exits 0 cowfs verify
