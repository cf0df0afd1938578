// SPDX-License-Identifier: Apache-2.0
/* branch_columns: what the commands on branches share. */
#pragma once
#include "tools/cli/command.h"

/* How one branch is shown, by every command that answers with one. */
extern const struct output_spec branch_record_spec; /* cmd_branch.c */

#define BRANCH_OPTION_FORCE                                                                        \
	{                                                                                          \
		"force", 0, NULL, "also when it is protected, or has clients behind cowfs serve"   \
	}

/* A verb that changes the contents of the first `names` operands: each is put to sleep first, and
 * serve hears of it afterwards. Steals `args`. (cmd_branch_change.c) */
int branch_change(struct command_call *call, const char *verb, json_t *args, int names,
		  const struct output_spec *spec);
