// SPDX-License-Identifier: Apache-2.0
/* branch_settings: what a user may set on a branch, as options of commands.
 *
 * Kept in the settings of the branch: expires_at (RFC 3339), ttl_ms (to begin anew at a reset),
 * protected, suspend_timeout_ms (0 = never), max_connections. */
#pragma once
#include "tools/cli/command.h"

#define BRANCH_SETTINGS_EXPIRY                                                                     \
	{"ttl", 0, "TIME", "delete it so long from now; a reset starts the time anew"},            \
	{                                                                                          \
		"expires-at", 0, "T", "delete it at this time (RFC 3339), or never"                \
	}

#define BRANCH_SETTINGS_OTHERS                                                                     \
	{"protected", 0, "yes|no", "never expires, is not reset or deleted without --force"},      \
	    {"suspend-timeout", 0, "TIME", "idle time until it falls asleep; never, or default"},  \
	{                                                                                          \
		"max-connections", 0, "N", "most clients at once behind cowfs serve; or default"   \
	}

/* Put what the options of this call say into `set`; null removes a key. -EINVAL. */
int branch_settings_read(struct command_call *call, json_t *set);
