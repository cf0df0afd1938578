// SPDX-License-Identifier: Apache-2.0
/* branch_migrations: what branch create says about migrations that a new branch lacks. */
#pragma once
#include <jansson.h>

#include "tools/cli/command.h"

/* Options --migrations and --migrations-table are consistent. Exit status of a usage error. */
int branch_migrations_check(struct command_call *call);

/* With --migrations: look into the branch of `result`, start its server for that time, and add
 * "migrations": {database, table, tool, applied, expected, missing: [id...]}, or null when no table
 * was found. A line on stderr when it lacks any, or cannot be judged: never an error. */
void branch_migrations(struct command_call *call, json_t *result);

/* branch create on another host: a folder of migrations, and a file of --seed, are of this side;
 * one of the two can be sent. */
int branch_create_remote(struct command_call *call);
