// SPDX-License-Identifier: Apache-2.0
/* golden_option: the option --config of the golden commands, and what it means. */
#pragma once
#include "tools/cli/command.h"

struct golden_conf;

#define OPTION_CONFIG                                                                              \
	{                                                                                          \
		"config", 'c', "FILE", "golden.conf, or its directory (default: the store's)"      \
	}

/* The configuration that --config names, or the store; *ret is owned by the caller. (cmd_golden.c)
 */
cow_errno golden_conf_of(struct command_call *call, struct golden_conf **ret);
