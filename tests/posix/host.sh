#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The cases on a plain directory of the host: proves the cases themselves.
. "$(dirname "$0")/../lib/lib.sh"
mkdir "$T/dir"
"$COWFS_BUILD/tests/posix" "$T/dir"
