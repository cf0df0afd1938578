// SPDX-License-Identifier: Apache-2.0
/* complete: what may stand at the cursor of a command line, from the command table.
 *
 * A shell calls `cowfs __complete WORD...` with the words after "cowfs" up to the cursor; the last
 * one, perhaps empty, is being typed. One candidate a line, behind a tab what it is; ":dir" or
 * ":file" means that the shell offers its own. Names of branches and snapshots come from a daemon
 * that runs; one that does not answer within COMPLETE_MS is not waited for, and the store is never
 * opened. */
#pragma once
#include <stdio.h>

#define COMPLETE_WORD "__complete"
#define COMPLETE_MS 40

/* May end the process, with status 0, when the daemon does not answer. */
void complete(FILE *out, int n, char **words);
