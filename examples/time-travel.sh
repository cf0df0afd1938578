#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# time-travel: a snapshot before a risky change; back to it, with the broken state kept beside for a look.
#
#   examples/time-travel.sh BRANCH 'SQL'     runs SQL on BRANCH; if it fails, BRANCH is as before
set -euo pipefail

branch=${1:?a branch} sql=${2:?a statement}
point=before-$(date +%s)-$$

cowfs snapshot create "$branch" "$point" -m "before: ${sql:0:100}" >&2
if cowfs psql "$branch" -- -v ON_ERROR_STOP=1 -c "$sql"; then
	cowfs snapshot delete "$branch@$point" --yes >&2
	exit 0
fi
cowfs stop "$branch" >&2
cowfs branch restore "$branch" "$point" --preserve-under "$branch-broken-$$" >&2
cowfs start "$branch" >&2
echo "restored; the broken state is branch $branch-broken-$$" >&2
exit 1
