// SPDX-License-Identifier: Apache-2.0
/* cowfs branch set, set-expiration: what a branch may do, and for how long. */
#include <string.h>

#include "tools/cli/branch_columns.h"
#include "tools/daemon/branch_settings.h"
#include "tools/cli/commands.h"
#include "tools/serve/client.h"

/* Steals `set`. */
static int change(struct command_call *call, json_t *set)
{
	int r = command_verb(call, "branch.settings",
			     json_pack("{s:s,s:o,s:o}", "name", call->argv[0], "set", set, "fork",
				       branch_settings_fork(call)),
			     &branch_record_spec);

	if (r == 0)
		serve_nudge(call->store);
	return r;
}

static int run_set(struct command_call *call)
{
	json_t *set = json_object();
	int r = branch_settings_read(call, set);

	if (r == 0 && json_object_size(set) == 0 && !command_option(call, "fork"))
		r = command_usage(call, "nothing to set");
	if (r == 0)
		return change(call, set);
	json_decref(set);
	return r;
}

static const struct command_option set_options[] = {
    BRANCH_SETTINGS_EXPIRY,
    BRANCH_SETTINGS_OTHERS,
    BRANCH_SETTINGS_FORK,
    {0},
};

const struct command cmd_branch_set = {
    .group = "branch",
    .name = "set",
    .summary = "change the settings of a branch",
    .usage = "NAME [--protected yes|no] [--quota SIZE|none] [--ttl TIME] [--fork KEY=WORD]...",
    .detail =
	"What is about its server holds from its next start on. What --fork says\nis for "
	"contents that are still to come: a branch that was never started, a reset, a restore.",
    .example = "cowfs branch set main --protected yes --suspend-timeout never",
    .options = set_options,
    .min_args = 1,
    .max_args = 1,
    .operands = "branch",
    .run = run_set,
};

static int run_expiration(struct command_call *call)
{
	json_t *set = json_object();
	int r = branch_settings_read(call, set);

	if (r == 0 && json_object_size(set) == 0)
		r = command_usage(call, "say when: --ttl TIME or --expires-at T|never");
	if (r == 0)
		return change(call, set);
	json_decref(set);
	return r;
}

static const struct command_option expiration_options[] = {
    BRANCH_SETTINGS_EXPIRY,
    {0},
};

const struct command cmd_branch_set_expiration = {
    .group = "branch",
    .name = "set-expiration",
    .aliases = "expire",
    .summary = "say when a branch is deleted by cowfs serve",
    .usage = "NAME --ttl TIME | --expires-at T|never",
    .detail = "A protected branch never expires.",
    .example = "cowfs branch set-expiration preview/pr-42 --ttl 2h",
    .options = expiration_options,
    .min_args = 1,
    .max_args = 1,
    .operands = "branch",
    .run = run_expiration,
};
