// SPDX-License-Identifier: Apache-2.0
/* branch_settings: what a user may set on a branch, as options of commands.
 *
 * Kept in the settings of the branch: expires_at (RFC 3339), ttl_ms (to begin anew at a reset),
 * protected, suspend_timeout_ms (0 = never), suspend_idle_sessions, max_connections; and of its
 * server profile, memory_bytes (0 = any), cpus (0 = any), postgres ({NAME: VALUE}). What is not
 * there is as the configuration says. Not among them quota_bytes (null = none), which the verbs
 * give to the store. */
#pragma once
#include "tools/cli/command.h"

#define BRANCH_SETTINGS_EXPIRY                                                                     \
	{"ttl", 0, "TIME", "delete it so long from now; a reset starts the time anew"},            \
	{                                                                                          \
		"expires-at", 0, "T", "delete it at this time (RFC 3339), or never"                \
	}

#define BRANCH_SETTINGS_SERVER                                                                     \
	{"set", 'c', "NAME=VALUE", "a setting of its server, kept; may be repeated"},              \
	    {"profile", 0, "P", "memory of its server: small, standard, inherit; or default"},     \
	    {"memory", 0, "SIZE", "most memory of its server (cgroup v2); any, or default"},       \
	{                                                                                          \
		"cpus", 0, "N", "most processors of its server (cgroup v2); any, or default"       \
	}

#define BRANCH_SETTINGS_OTHERS                                                                     \
	{"protected", 0, "yes|no", "never expires, is not reset or deleted without --force"},      \
	    {"suspend-timeout", 0, "TIME", "idle time until it falls asleep; never, or default"},  \
	    {"suspend-idle-sessions", 0, "yes|no",                                                 \
	     "sleep also under clients that run nothing; or default"},                             \
	    {"max-connections", 0, "N", "most clients at once behind cowfs serve; or default"},    \
	    {"unset", 0, "NAME", "take back a setting that -c made; may be repeated"},             \
	    BRANCH_SETTINGS_SERVER,                                                                \
	{                                                                                          \
		"quota", 0, "SIZE", "most it may have of its own, like 10G; or none"               \
	}

/* Two words of --fork with names of their own. */
#define BRANCH_SETTINGS_ROLES                                                                      \
	{"reset-passwords", 0, NULL, "every role has a new password here; printed, once"},         \
	{                                                                                          \
		"restricted", 0, NULL,                                                             \
		    "no superusers: clients use the role \"restricted\", its password is printed"  \
	}

#define BRANCH_SETTINGS_FORK                                                                       \
	{                                                                                          \
		"fork", 0, "KEY=WORD", "what it may keep: subscriptions, workers, ...; repeatable" \
	}

/* The values of --fork and of its two other names, for the key "fork" of a verb; an empty array
 * when there are none. */
json_t *branch_settings_fork(const struct command_call *call);

/* Does `set` hold something that a server has from its start on? */
bool branch_settings_of_server(const json_t *set);

/* Put what the options of this call say into `set`; null removes a key. -EINVAL. */
int branch_settings_read(struct command_call *call, json_t *set);
