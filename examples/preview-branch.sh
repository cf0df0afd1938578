#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# preview-branch: a database for a pull request. Safe to call again: an existing branch is kept.
#
#   examples/preview-branch.sh open 42      makes preview/pr-42, starts it, prints its URL
#   examples/preview-branch.sh close 42     stops and deletes it; a missing one is fine
set -euo pipefail

verb=${1:?open or close} number=${2:?the number of the pull request}
[[ $number =~ ^[0-9]+$ ]] || { echo "not a number: $number" >&2 && exit 2; }
branch=preview/pr-$number

case $verb in
open)
	cowfs branch create "$branch" --if-not-exists >&2
	cowfs start "$branch" >&2
	cowfs url "$branch"
	;;
close)
	cowfs branch get "$branch" >/dev/null 2>&1 || exit 0
	cowfs stop "$branch" >&2
	cowfs branch delete "$branch" --yes >&2
	;;
*) echo "open or close, not $verb" >&2 && exit 2 ;;
esac
