#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Exit statuses, messages and formats of every command that needs no mount.
. "$(dirname "$0")/../lib/lib.sh"
requires cowfs

# --- the store ---
exits 3 cowfs --store "$T/nowhere" branch list
contains "$err" "cowfs init $T/nowhere"
exits 3 cowfs mount "$T/nowhere" "$T"
contains "$err" "cowfs init $T/nowhere"
exits 2 cowfs branch list
contains "$err" COWFS_STORE
mkdir "$T/other" && touch "$T/other/file"
exits 5 cowfs init "$T/other"
refused cowfs --store "$T/other" branch list
store_new
exits 5 cowfs init "$COWFS_STORE"
contains "$err" already
exits 3 cowfs mount "$COWFS_STORE" "$T/nowhere"
contains "$err" "mkdir -p $T/nowhere"
exits 3 cowfs import "$T/nowhere" main
contains "$err" data_directory
cp -a "$COWFS_STORE" "$T/newer"
sed -i 's/[0-9][0-9]*/9999/' "$T/newer/VERSION"
refused cowfs --store "$T/newer" branch list
contains "$err" newer

# --- branches: names ---
exits 3 cowfs branch create early
exits 2 cowfs branch create
contains "$err" "missing operand: NAME"
lacks "$err" "--parent"
exits 0 cowfs branch create main --empty
for name in '' '.' '..' 'a//b' '/a' 'a/' 'a/../b' 'a b ' ' a' $'a\nb' $'a\x01' 'a@b' '^a' '-a' "$(printf 'x%.0s' {1..256})" $'\xff'; do
	exits 2 cowfs branch create -- "$name"
done
exits 0 cowfs branch create "$(printf 'x%.0s' {1..255})"
exits 0 cowfs branch create feature/x
exits 5 cowfs branch create feature
exits 5 cowfs branch create feature/x/y
exits 5 cowfs branch create feature/x
exits 0 cowfs branch create feature/x --if-not-exists -o json
same "$(json created <"$T/.out")" False
exits 5 cowfs branch create feature --if-not-exists

# --- references ---
exits 3 cowfs branch create b --parent nobody
exits 3 cowfs branch create b --parent main@nothing
exits 3 cowfs branch create b --parent main@2001-01-01T00:00:00Z
exits 2 cowfs branch create b --parent main --empty
exits 3 cowfs branch create b --parent ^parent
contains "$err" "parent of the default branch, main"
exits 0 cowfs snapshot create main first -m 'the first'
exits 5 cowfs snapshot create main first
exits 3 cowfs snapshot create nobody
for _ in 1 2 3; do exits 0 cowfs snapshot create main; done
same "$(cowfs snapshot list main -q | wc -l)" 4 "snapshots of main"
exits 0 cowfs branch create b --parent main@first
exits 0 cowfs branch create c --parent main@2099-01-01T00:00:00+02:00

# --- changes ---
exits 2 cowfs branch delete b
contains "$err" --yes
exits 3 cowfs branch delete b nobody --yes
exits 0 cowfs branch get b
exits 0 cowfs branch delete b c b --yes
exits 3 cowfs branch get b
exits 5 cowfs branch rename feature/x main
exits 0 cowfs branch rename feature/x fix/x
exits 2 cowfs branch reset fix/x
exits 0 cowfs branch reset fix/x --yes
exits 3 cowfs branch restore main nothing --yes
exits 0 cowfs branch restore main first --preserve-under main-before
contains "$(cowfs log fix/x -o json | json events.0.event)" reset
contains "$(cowfs log main)" "from main@first"
exits 3 cowfs branch promote nobody
contains "$err" "no branch nobody"
exits 0 cowfs branch promote fix/x
same "$(cowfs log fix/x -o json | json events.0.event)" promote
contains "$(cowfs log fix/x)" "contents exchanged with main"
contains "$(cowfs log main)" "contents exchanged with fix/x"
same "$(cowfs branch get main -o json | json current_state)" stopped
# The branch of a directory that is gone: who named it.
exits 0 cowfs branch create passing
mkdir "$T/app" && (cd "$T/app" && cowfs -q checkout passing)
exits 0 cowfs branch delete passing --yes
exits 3 bash -c 'cd "$0" && "$1" branch get' "$T/app" "$COWFS"
contains "$err" "by $T/app/.cowfs"
exits 3 env COWFS_BRANCH=passing "$COWFS" branch get
contains "$err" "COWFS_BRANCH"
exits 0 cowfs branch set-default fix/x
same "$(cowfs branch get fix/x -o json | json default)" True
exits 2 cowfs snapshot delete main
exits 3 cowfs snapshot delete main@nothing --yes
exits 0 cowfs snapshot delete main@first --yes

# --- looking ---
exits 0 cowfs diff main fix/x --stat
exits 3 cowfs diff main nobody
exits 3 cowfs du nobody
exits 3 cowfs verify nobody
exits 3 cowfs log nobody
exits 0 cowfs verify
lacks "$(cowfs verify)" Leaked
exits 0 cowfs gc --now
exits 0 cowfs status -o json
same "$(json mounted <"$T/.out")" False
exits 3 cowfs unmount "$T"

# --- formats: JSON is JSON, rows of tsv have one length, env can be read by a shell ---
for what in "branch list" "branch get main" "snapshot list" "du" "status" "verify" "log main" "diff main fix/x"; do
	# shellcheck disable=SC2086
	cowfs $what -o json | python3 -m json.tool >/dev/null || fail "$what -o json is no JSON"
	# shellcheck disable=SC2086
	cowfs $what -o tsv | awk -F'\t' 'NR == 1 { n = NF } NF != n { exit 1 }' || fail "$what -o tsv has rows of several lengths"
	# shellcheck disable=SC2086
	(eval "$(cowfs $what -o env)") || fail "$what -o env cannot be read by a shell"
	# shellcheck disable=SC2086
	cowfs $what -o yaml >/dev/null
done
(eval "$(cowfs branch get main -o env)" && [[ $COWFS_NAME == main ]]) || fail "env"
exits 3 cowfs branch get nobody -o json
same "$(json error.code <"$T/.err")" not_found
