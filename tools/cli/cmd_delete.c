// SPDX-License-Identifier: Apache-2.0
/* cowfs branch delete, undelete, purge; cowfs snapshot delete. */
#include "tools/cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "store/branch.h"
#include "tools/cli/branch_columns.h"
#include "tools/cli/parse.h"
#include "tools/serve/client.h"

/* Each once, however often it was named. */
static json_t *names_of(const struct command_call *call)
{
	json_t *names = json_array();

	for (int k = 0; k < call->argc; k++) {
		int before = 0;

		while (before < k && strcmp(call->argv[before], call->argv[k]) != 0)
			before++;
		if (before == k)
			json_array_append_new(names, json_string(call->argv[k]));
	}
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

/* --- branch delete --- */

static const struct output_column deleted[] = {
    {"name", "DELETED", OUTPUT_TEXT, NULL},
    {"id", "ID", OUTPUT_TEXT, NULL},
    {"purge_at", "SPACE COMES BACK", OUTPUT_AGE, NULL},
    {0},
};
static const struct output_spec deleted_spec = {.rows = "deleted", .columns = deleted};

static int delete_run(struct command_call *call)
{
	const char *window = command_option(call, "undelete-window");
	json_t *args = json_object();
	uint64_t ms = 0;
	int r = 0;

	if (window && command_option(call, "now"))
		r = command_usage(call, "--now and --undelete-window exclude each other");
	if (r == 0 && window)
		r = parse_duration(window, &ms, &call->error);
	if (r == 0 && (window || command_option(call, "now")))
		json_object_set_new(args, "keep_ms",
				    json_integer((json_int_t)(ms > INT64_MAX ? INT64_MAX : ms)));
	if (r == 0)
		r = confirm_all(call, "delete");
	if (r < 0) {
		json_decref(args);
		return r;
	}
	json_object_set_new(args, "names", names_of(call));
	return branch_change(call, "branch.delete", args, call->argc, &deleted_spec);
}

static const struct command_option delete_options[] = {
    COMMAND_OPTION_YES,
    BRANCH_OPTION_FORCE,
    {"now", 0, NULL, "give its space back at once: it cannot be undeleted"},
    {"undelete-window", 0, "TIME",
     "how long it can be undeleted (default: undelete_window in cowfs.conf, else 24h)"},
    {0},
};

const struct command cmd_branch_delete = {
    .group = "branch",
    .name = "delete",
    .aliases = "rm",
    .summary = "delete branches with their snapshots",
    .usage = "NAME... [--yes] [--force] [--now]",
    .detail =
	"Never refused because something was made from them: branches made from a deleted "
	"one keep\nwhat they see. The name is free at once; contents and snapshots can be had back "
	"for a while\n(cowfs branch undelete), then the space comes back in the background. When "
	"the "
	"host's disk is\nshort of room it comes back at once, and what earlier deletions kept goes "
	"too.",
    .example = "cowfs branch delete feature/add-orgs --yes",
    .options = delete_options,
    .min_args = 1,
    .max_args = -1,
    .operands = "branch",
    .run = delete_run,
};

/* --- branch undelete --- */

static int undelete_run(struct command_call *call)
{
	const char *as = command_option(call, "as");
	int r = as ? cow_branch_name_check(as, &call->error) : 0;

	if (r == 0)
		r = command_verb(call, "branch.undelete",
				 json_pack("{s:s,s:s*}", "name", call->argv[0], "as", as),
				 &branch_record_spec);
	if (r == 0)
		serve_nudge(call->store);
	return r;
}

static const struct command_option undelete_options[] = {
    {"as", 0, "NAME", "under another name"},
    {0},
};

const struct command cmd_branch_undelete = {
    .group = "branch",
    .name = "undelete",
    .summary = "have a deleted branch back, with its snapshots, port and settings",
    .usage = "NAME|ID [--as NAME]",
    .detail = "Of several deleted branches of one name the one deleted last comes back; an ID "
	      "names each\n(cowfs branch list --deleted). A time to live begins anew.",
    .example = "cowfs branch undelete feature/add-orgs",
    .options = undelete_options,
    .min_args = 1,
    .max_args = 1,
    .run = undelete_run,
};

/* --- branch purge --- */

static const struct output_column purged[] = {
    {"id", "PURGED", OUTPUT_TEXT, NULL},
    {0},
};
static const struct output_spec purged_spec = {.rows = "purged", .columns = purged};

static int purge_run(struct command_call *call)
{
	bool all = command_option(call, "all");
	int r;

	if (all == (call->argc > 0))
		return command_usage(call, "name deleted branches, or say --all");
	r = all ? command_confirm(call, "purge all deleted branches", "all")
		: confirm_all(call, "purge");
	if (r < 0)
		return r;
	return command_verb(call, "branch.purge",
			    all ? json_object() : json_pack("{s:o}", "names", names_of(call)),
			    &purged_spec);
}

static const struct command_option purge_options[] = {
    {"all", 0, NULL, "every deleted branch"},
    COMMAND_OPTION_YES,
    {0},
};

const struct command cmd_branch_purge = {
    .group = "branch",
    .name = "purge",
    .summary = "give back now what deleted branches keep; they cannot be undeleted",
    .usage = "NAME|ID... | --all [--yes]",
    .example = "cowfs branch purge --all --yes",
    .options = purge_options,
    .min_args = 0,
    .max_args = -1,
    .run = purge_run,
};

static const struct command_option yes_only[] = {
    COMMAND_OPTION_YES,
    {0},
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
    .operands = "snapshot",
    .run = snapshot_delete_run,
};
