// SPDX-License-Identifier: Apache-2.0
/* pgsettle: what a running server is asked for before a point of its branch is taken.
 *
 * Recovery of the point would repeat a CREATE TABLESPACE made since the last checkpoint, and that
 * names the directory of the *parent*, which the mount refuses. A checkpoint before the point
 * leaves nothing to repeat. */
#pragma once
#include "tools/cli/command.h"

/* `reference` as in store/branch.h; NULL = the default branch. Does nothing for a past point, a
 * server that does not run, or tablespaces that did not change. -ECONNREFUSED, -EPERM: the
 * checkpoint was needed and could not be had; reason and remedy in call->error. */
cow_errno pgsettle(struct command_call *call, const char *reference);
