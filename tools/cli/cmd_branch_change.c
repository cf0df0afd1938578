// SPDX-License-Identifier: Apache-2.0
/* cowfs branch reset, restore, promote, delete: what replaces or destroys contents. */
#include "tools/cli/commands.h"
#include "tools/pg/pgsettle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/branch.h"
#include "tools/cli/branch_columns.h"
#include "tools/serve/client.h"

#define OPTION_FORCE                                                                               \
	{                                                                                          \
		"force", 0, NULL, "also when it is protected, or has clients behind cowfs serve"   \
	}

static const struct command_option yes_only[] = {
    COMMAND_OPTION_YES,
    {0},
};

static const struct command_option delete_options[] = {
    COMMAND_OPTION_YES,
    OPTION_FORCE,
    {0},
};

/* What changes contents: the branch is put to sleep first, and serve hears of it afterwards. */
static int change(struct command_call *call, const char *verb, json_t *args, int names,
		  const struct output_spec *spec)
{
	bool force = command_option(call, "force");
	const char *store;
	int r = command_store(call, &store);

	for (int k = 0; r == 0 && k < names; k++)
		r = serve_make_way(store, call->argv[k], force, &call->error);
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
	return change(call, "branch.reset",
		      json_pack("{s:s,s:s*}", "name", call->argv[0], "source", parent), 1,
		      &branch_record_spec);
}

static const struct command_option reset_options[] = {
    {"parent", 'p', "P", "the point to start over from (default: its parent as it is now)"},
    COMMAND_OPTION_YES,
    OPTION_FORCE,
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
	return change(call, "branch.reset", restore_args(call), 1, &branch_record_spec);
}

static const struct command_option restore_options[] = {
    {"preserve-under", 0, "NAME", "keep the present contents as a branch of this name"},
    COMMAND_OPTION_YES,
    OPTION_FORCE,
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
    .run = promote_run,
};

/* --- delete --- */

static json_t *names_of(const struct command_call *call)
{
	json_t *names = json_array();

	for (int k = 0; k < call->argc; k++)
		json_array_append_new(names, json_string(call->argv[k]));
	return names;
}

static int confirm_all(struct command_call *call, const char *what)
{
	char all[1000] = "", text[1100];
	size_t len = 0;

	for (int k = 0; k < call->argc && len < sizeof(all) - 1; k++)
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", k ? " " : "",
					call->argv[k]);
	snprintf(text, sizeof(text), "%s %s", what, all);
	return command_confirm(call, text, all);
}

static const struct output_column deleted[] = {
    {"name", "DELETED", OUTPUT_TEXT, NULL},
    {0},
};
static const struct output_spec deleted_spec = {.rows = "deleted", .columns = deleted};

static int delete_run(struct command_call *call)
{
	int r = confirm_all(call, "delete");

	if (r < 0)
		return r;
	return change(call, "branch.delete", json_pack("{s:o}", "names", names_of(call)),
		      call->argc, &deleted_spec);
}

const struct command cmd_branch_delete = {
    .group = "branch",
    .name = "delete",
    .aliases = "rm",
    .summary = "delete branches with their snapshots",
    .usage = "NAME... [--yes] [--force]",
    .detail = "Never refused because something was made from them: branches made from a deleted "
	      "one keep\nwhat they see. The space comes back in the background.",
    .example = "cowfs branch delete feature/add-orgs --yes",
    .options = delete_options,
    .min_args = 1,
    .max_args = -1,
    .run = delete_run,
};

/* --- snapshot delete --- */

static const struct output_column deleted_snapshot[] = {
    {"reference", "DELETED", OUTPUT_TEXT, NULL},
    {0},
};
static const struct output_spec deleted_snapshot_spec = {
    .rows = "deleted",
    .columns = deleted_snapshot,
};

static int snapshot_delete_run(struct command_call *call)
{
	int r;

	for (int k = 0; k < call->argc; k++) {
		const char *at = strchr(call->argv[k], '@');

		if (!at || at == call->argv[k] || !at[1])
			return command_usage(call, "'%s' does not name a snapshot: BRANCH@NAME",
					     call->argv[k]);
	}
	r = confirm_all(call, "delete");
	if (r < 0)
		return r;
	return command_verb(call, "snapshot.delete", json_pack("{s:o}", "names", names_of(call)),
			    &deleted_snapshot_spec);
}

const struct command cmd_snapshot_delete = {
    .group = "snapshot",
    .name = "delete",
    .aliases = "rm",
    .summary = "delete snapshots; branches made from them stay",
    .usage = "BRANCH@NAME... [--yes]",
    .example = "cowfs snapshot delete main@before-migration --yes",
    .options = yes_only,
    .min_args = 1,
    .max_args = -1,
    .run = snapshot_delete_run,
};
