// SPDX-License-Identifier: Apache-2.0
/* cowfs snapshot create and list, cowfs log. */
#include <errno.h>

#include "tools/cli/commands.h"
#include "tools/cli/parse.h"
#include "tools/pg/pgsettle.h"

/* --- create --- */

static const struct output_column record[] = {
    {"reference", "Snapshot", OUTPUT_TEXT, NULL},
    {"created_at", "Created", OUTPUT_AGE, NULL},
    {"message", "Message", OUTPUT_TEXT, NULL},
    {0},
};
static const struct output_spec record_spec = {.columns = record};

static int create_run(struct command_call *call)
{
	const char *name = call->argc > 1 ? call->argv[1] : NULL;
	int r = pgsettle(call, call->argv[0]);

	if (r < 0)
		return r;
	return command_verb(call, "snapshot.create",
			    json_pack("{s:s,s:s*,s:s*}", "branch", call->argv[0], "name", name,
				      "message", command_option(call, "message")),
			    &record_spec);
}

static const struct command_option create_options[] = {
    {"message", 'm', "TEXT", "why it was taken"},
    {0},
};

const struct command cmd_snapshot_create = {
    .group = "snapshot",
    .name = "create",
    .summary = "give the present state of a branch a name",
    .usage = "BRANCH [NAME] [-m TEXT]",
    .detail = "Without NAME the snapshot is called by its time (UTC). The branch may be running.",
    .example = "cowfs snapshot create main before-migration -m 'release 42'",
    .options = create_options,
    .min_args = 1,
    .max_args = 2,
    .operands = "branch -",
    .run = create_run,
};

/* --- list --- */

static const struct output_column row[] = {
    {"reference", "SNAPSHOT", OUTPUT_TEXT, NULL},
    {"created_at", "CREATED", OUTPUT_AGE, NULL},
    {"message", "MESSAGE", OUTPUT_TEXT, NULL},
    {0},
};
static const struct output_spec list_spec = {.rows = "snapshots", .columns = row};

static int list_run(struct command_call *call)
{
	const char *branch = call->argc ? call->argv[0] : NULL;

	return command_verb(call, "snapshot.list", json_pack("{s:s*}", "branch", branch),
			    &list_spec);
}

const struct command cmd_snapshot_list = {
    .group = "snapshot",
    .name = "list",
    .aliases = "ls",
    .summary = "list snapshots, oldest first",
    .usage = "[BRANCH]",
    .example = "cowfs snapshot list main",
    .max_args = 1,
    .operands = "branch",
    .run = list_run,
};

/* --- log --- */

static const struct output_column event[] = {
    {"time", "TIME", OUTPUT_AGE, NULL},
    {"event", "EVENT", OUTPUT_TEXT, NULL},
    {"name", "NAME", OUTPUT_TEXT, NULL},
    {"message", "MESSAGE", OUTPUT_TEXT, NULL},
    {0},
};
static const struct output_spec log_spec = {.rows = "events", .columns = event};

static int log_run(struct command_call *call)
{
	const char *text = command_option(call, "lines");
	json_t *args = json_pack("{s:s}", "branch", call->argv[0]);
	uint64_t most;

	if (text && parse_number(text, 0, 1000000, &most, &call->error) < 0) {
		json_decref(args);
		return -EINVAL;
	}
	if (text)
		json_object_set_new(args, "most", json_integer((json_int_t)most));
	return command_verb(call, "log", args, &log_spec);
}

static const struct command_option log_options[] = {
    {"lines", 'n', "N", "the last N things that its server did (default: 100)"},
    {0},
};

const struct command cmd_log = {
    .name = "log",
    .summary = "what happened to a branch, newest first",
    .usage = "[BRANCH] [-n N]",
    .detail =
	"When it was made, its snapshots, how it last got other contents (reset, restore or "
	"promote), and\nwhat its server did and why: started by whom, suspended, stopped, crashed, "
	"failed. Of the latter the\nlast thousand or so are kept. What the server itself said: "
	"cowfs logs BRANCH",
    .example = "cowfs log main",
    .options = log_options,
    .max_args = 1,
    .operands = "branch",
    .pins = true,
    .run = log_run,
};
