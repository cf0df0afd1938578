#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# branch-per-test: every command gets a database of its own, in DATABASE_URL, and leaves nothing behind.
#
#   examples/branch-per-test.sh 'psql -c "..." "$DATABASE_URL"' './test_orders' ...
#
# Ephemeral: an fsync costs nothing, and a test database need not survive the machine.
set -uo pipefail

failed=0 n=0
for test in "$@"; do
	branch=test/$$-$((++n))
	cowfs branch create "$branch" --ephemeral >/dev/null && cowfs start "$branch" >/dev/null || exit 1
	DATABASE_URL=$(cowfs url "$branch")
	export DATABASE_URL
	if bash -c "$test"; then echo "ok $n $test"; else echo "not ok $n $test" && failed=1; fi
	cowfs stop "$branch" -m immediate >/dev/null
	cowfs branch delete "$branch" --yes >/dev/null
done
exit $failed
