#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Calls that a program which serves other people's data does not make.
. "$(dirname "$0")/../lib/lib.sh"
cd "$SOURCE"
no_call() { # no_call REGEX FOLDERS WHY
	local found
	# shellcheck disable=SC2086
	found=$(grep -rnE --include='*.[ch]' "(^|[^A-Za-z0-9_>.])($1)[[:space:]]*\(" $2 || true)
	[[ -z $found ]] || fail "$3: $found"
}
no_call 'system|popen' "store fs tools" "no command is built by a shell"
found=$(grep -rnE --include='*.[ch]' '"(/bin/|/usr/bin/)?(ba|da|)sh"' store fs tools || true)
[[ -z $found ]] || fail "no shell is started: $found"
no_call 'strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|tmpnam|mktemp' "store fs tools" "no unbounded string call"
no_call 'exit|quick_exit' "store fs" "a library does not end the process (abort is for our own bugs)"
no_call 'sync' "store fs" "sync() is not what fsync means"
found=$(grep -rnE --include='*.[ch]' '\bsync_file_range\(' store fs | grep -v '^store/os\.c:.*, SYNC_FILE_RANGE_WRITE);$' || true)
[[ -z $found ]] || fail "it makes nothing durable, so it may only begin to write: $found"
