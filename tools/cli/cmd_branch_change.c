// SPDX-License-Identifier: Apache-2.0
/* cowfs branch reset, restore, recover, promote: what replaces contents. */
#include "tools/cli/commands.h"
#include "tools/pg/pgsettle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/branch.h"
#include "tools/cli/branch_columns.h"
#include "tools/serve/client.h"

int branch_change(struct command_call *call, const char *verb, json_t *args, int names,
		  const struct output_spec *spec)
{
	bool force = command_option(call, "force");
	const char *store;
	char why[64];
	int r = command_store(call, &store);

	snprintf(why, sizeof(why), "for cowfs %s %s", call->command->group, call->command->name);
	for (int k = 0; r == 0 && k < names; k++)
		r = serve_make_way(store, call->argv[k], force, why, &call->error);
	if (r < 0) {
		json_decref(args);
		return r;
	}
	json_object_set_new(args, "force", json_boolean(force));
	r = command_verb(call, verb, args, spec);
	serve_nudge(store);
	return r;
}

/* --- reset --- */

/* The parent that a reset without --parent starts from; NULL when there is none to settle. */
static int settle_parent(struct command_call *call, const char *name)
{
	json_t *branch = NULL;
	const char *parent;
	int r = command_ask(call, "branch.get", json_pack("{s:s}", "name", name), &branch);

	parent = r == 0 ? json_string_value(json_object_get(branch, "parent")) : NULL;
	if (parent && *parent)
		r = pgsettle(call, parent);
	json_decref(branch);
	return r;
}

static int reset_run(struct command_call *call)
{
	const char *parent = command_option(call, "parent");
	char what[COW_BRANCH_MAX + 64];
	int r;

	snprintf(what, sizeof(what), "throw away the contents of %s", call->argv[0]);
	r = command_confirm(call, what, call->argv[0]);
	if (r == 0)
		r = parent ? pgsettle(call, parent) : settle_parent(call, call->argv[0]);
	if (r < 0)
		return r;
	return branch_change(call, "branch.reset",
			     json_pack("{s:s,s:s*}", "name", call->argv[0], "source", parent), 1,
			     &branch_record_spec);
}

static const struct command_option reset_options[] = {
    {"parent", 'p', "P", "the point to start over from (default: its parent as it is now)"},
    COMMAND_OPTION_YES,
    BRANCH_OPTION_FORCE,
    {0},
};

const struct command cmd_branch_reset = {
    .group = "branch",
    .name = "reset",
    .summary = "start a branch over from its parent; name, port and settings stay",
    .usage = "NAME [--parent P] [--yes] [--force]",
    .example = "cowfs branch reset feature/add-orgs --yes",
    .options = reset_options,
    .min_args = 1,
    .max_args = 1,
    .operands = "branch",
    .run = reset_run,
};

/* --- restore --- */

/* A bare word is a snapshot of the branch itself; anything else is a reference already. */
static json_t *restore_args(const struct command_call *call)
{
	const char *name = call->argv[0], *point = call->argv[1];
	char source[2 * COW_BRANCH_MAX + 64];

	if (strchr(point, '@') || point[0] == '^')
		snprintf(source, sizeof(source), "%s", point);
	else
		snprintf(source, sizeof(source), "%s@%s", name, point);
	return json_pack("{s:s,s:s,s:s*}", "name", name, "source", source, "preserve_under",
			 command_option(call, "preserve-under"));
}

static int restore_run(struct command_call *call)
{
	char what[COW_BRANCH_MAX + 64];
	int r = 0;

	snprintf(what, sizeof(what), "throw away the present contents of %s", call->argv[0]);
	if (!command_option(call, "preserve-under"))
		r = command_confirm(call, what, call->argv[0]);
	if (r < 0)
		return r;
	return branch_change(call, "branch.reset", restore_args(call), 1, &branch_record_spec);
}

static const struct command_option restore_options[] = {
    {"preserve-under", 0, "NAME", "keep the present contents as a branch of this name"},
    COMMAND_OPTION_YES,
    BRANCH_OPTION_FORCE,
    {0},
};

const struct command cmd_branch_restore = {
    .group = "branch",
    .name = "restore",
    .summary = "put a branch back to a snapshot",
    .usage = "NAME SNAPSHOT [--preserve-under NAME] [--yes]",
    .detail = "SNAPSHOT is a snapshot of NAME, or OTHER@SNAPSHOT. The snapshots of the branch "
	      "stay.",
    .example = "cowfs branch restore main before-migration --preserve-under main-broken",
    .options = restore_options,
    .min_args = 2,
    .max_args = 2,
    .operands = "branch own-snapshot",
    .run = restore_run,
};

/* --- recover --- */

static int recover_run(struct command_call *call)
{
	json_t *done = NULL;
	int r =
	    command_ask(call, "server.recover", json_pack("{s:s}", "name", call->argv[0]), &done);

	json_decref(done);
	if (r < 0)
		return r;
	return command_verb(call, "branch.get", json_pack("{s:s}", "name", call->argv[0]),
			    &branch_record_spec);
}

const struct command cmd_branch_recover = {
    .group = "branch",
    .name = "recover",
    .summary = "after a failed write: drop what never reached the disk",
    .usage = "NAME",
    .detail =
	"The branch then shows what a machine would find after losing power; postgres recovers "
	"from its WAL. 'cowfs start' does this by itself.",
    .example = "cowfs branch recover feature/add-orgs",
    .min_args = 1,
    .max_args = 1,
    .operands = "branch",
    .run = recover_run,
};

/* --- promote --- */

static int promote_run(struct command_call *call)
{
	return command_verb(call, "branch.promote", json_pack("{s:s}", "name", call->argv[0]),
			    &branch_record_spec);
}

const struct command cmd_branch_promote = {
    .group = "branch",
    .name = "promote",
    .summary = "exchange the contents of a branch and the default branch",
    .usage = "NAME",
    .detail = "Nothing is lost: the same command again exchanges them back. Names, ports and "
	      "settings\nstay where they are.",
    .example = "cowfs branch promote feature/add-orgs",
    .min_args = 1,
    .max_args = 1,
    .operands = "branch",
    .run = promote_run,
};
