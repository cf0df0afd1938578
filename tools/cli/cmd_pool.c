// SPDX-License-Identifier: Apache-2.0
/* cowfs pool create, list, get, resize, delete: branches that are made ahead. */
#include "tools/cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "store/branch.h"
#include "tools/cli/parse.h"
#include "tools/daemon/branch_settings.h"
#include "tools/serve/client.h"

#define REFRESH_MS 600000 /* without --refresh */

static const struct output_column columns[] = {
    {"name", "NAME", OUTPUT_TEXT, NULL},   {"source", "FROM", OUTPUT_TEXT, NULL},
    {"size", "SIZE", OUTPUT_NUMBER, NULL}, {"ready", "READY", OUTPUT_NUMBER, NULL},
    {"warm", "WARM", OUTPUT_TEXT, NULL},   {0},
};
static const struct output_spec record = {.columns = columns};
static const struct output_spec rows = {.rows = "pools", .columns = columns};

static int read_size(struct command_call *call, const char *text, json_t *args)
{
	uint64_t n = 0;
	int r = parse_number(text, 0, 1000, &n, &call->error);

	json_object_set_new(args, "size", json_integer((json_int_t)n));
	return r;
}

static int read_refresh(struct command_call *call, json_t *args)
{
	const char *text = command_option(call, "refresh");
	uint64_t ms = 0;
	int r = 0;

	if (!text)
		return 0;
	if (strcmp(text, "never") != 0)
		r = parse_duration(text, &ms, &call->error);
	json_object_set_new(args, "refresh_ms", json_integer((json_int_t)ms));
	return r;
}

/* Steals `args`; serve fills the pool as soon as it hears of it. */
static int change(struct command_call *call, const char *verb, json_t *args)
{
	int r = command_verb(call, verb, args, &record);

	if (r == 0)
		serve_nudge(call->store);
	return r;
}

/* --- create --- */

static int create_run(struct command_call *call)
{
	const char *from = command_option(call, "from"), *size = command_option(call, "size");
	const char *warm = command_option(call, "warm");
	json_t *args, *settings;
	int r = 0;

	if (!from)
		return command_usage(call, "say what its branches are made from: --from BRANCH");
	if (warm && strcmp(warm, "running") != 0 && strcmp(warm, "stopped") != 0)
		return command_usage(call, "--warm takes running or stopped, not '%s'", warm);
	args = json_pack("{s:s,s:s,s:s,s:i}", "name", call->argv[0], "source", from, "warm",
			 warm ? warm : "running", "refresh_ms", REFRESH_MS);
	r = read_size(call, size ? size : "2", args);
	if (r == 0)
		r = read_refresh(call, args);
	settings = json_object();
	json_object_set_new(args, "settings", settings);
	json_object_set_new(args, "fork", branch_settings_fork(call));
	if (r == 0)
		r = branch_settings_read(call, settings);
	if (r == 0)
		return change(call, "pool.create", args);
	json_decref(args);
	return r;
}

static const struct command_option create_options[] = {
    {"from", 0, "BRANCH", "what they are made from: BRANCH as it is then, or BRANCH@SNAPSHOT"},
    {"size", 0, "N", "how many are kept (default: 2)"},
    {"warm", 0, "HOW", "running: their servers run already (default); stopped: they were run once"},
    {"refresh", 0, "TIME",
     "replace those older than this when BRANCH was written to since; or never (default: 10m)"},
    BRANCH_SETTINGS_SERVER,
    BRANCH_SETTINGS_ROLES,
    BRANCH_SETTINGS_FORK,
    {0},
};

const struct command cmd_pool_create = {
    .group = "pool",
    .name = "create",
    .summary = "keep branches ready to be taken, each once",
    .usage = "NAME --from BRANCH[@SNAPSHOT] [--size N] [--warm running|stopped]",
    .detail =
	"cowfs serve makes and starts them, and makes new ones for those that are taken\n"
	"(cowfs branch create NAME --from-pool POOL). When BRANCH was reset or restored, all are "
	"replaced.\nThey are not listed among branches, count among them, and take what servers "
	"take.\nWhat is said here of their servers and by --fork is in every branch that comes "
	"from "
	"the pool, as\nis the section [fork] of STORE/cowfs.conf; a change of that replaces the "
	"members.",
    .example = "cowfs pool create ci --from golden --size 4",
    .options = create_options,
    .min_args = 1,
    .max_args = 1,
    .run = create_run,
};

/* --- list, get, resize --- */

static int list_run(struct command_call *call)
{
	return command_verb(call, "pool.list", NULL, &rows);
}

const struct command cmd_pool_list = {
    .group = "pool",
    .name = "list",
    .aliases = "ls",
    .summary = "list the pools",
    .usage = "",
    .example = "cowfs pool list -o json",
    .run = list_run,
};

static int get_run(struct command_call *call)
{
	return command_verb(call, "pool.get", json_pack("{s:s}", "name", call->argv[0]), &record);
}

const struct command cmd_pool_get = {
    .group = "pool",
    .name = "get",
    .aliases = "show",
    .summary = "show one pool",
    .usage = "NAME",
    .example = "cowfs pool get ci",
    .min_args = 1,
    .max_args = 1,
    .run = get_run,
};

static int resize_run(struct command_call *call)
{
	json_t *args = json_pack("{s:s}", "name", call->argv[0]);
	int r = read_size(call, call->argv[1], args);

	if (r == 0)
		r = read_refresh(call, args);
	if (r == 0)
		return change(call, "pool.set", args);
	json_decref(args);
	return r;
}

static const struct command_option resize_options[] = {
    {"refresh", 0, "TIME", "as of pool create"},
    {0},
};

const struct command cmd_pool_resize = {
    .group = "pool",
    .name = "resize",
    .summary = "keep more or fewer branches ready",
    .usage = "NAME N",
    .example = "cowfs pool resize ci 8",
    .options = resize_options,
    .min_args = 2,
    .max_args = 2,
    .run = resize_run,
};

/* --- delete --- */

static int delete_run(struct command_call *call)
{
	char what[COW_BRANCH_MAX + 64];
	json_t *result = NULL, *v;
	size_t k;
	int r;

	snprintf(what, sizeof(what), "delete the pool %s and what is in it", call->argv[0]);
	r = command_confirm(call, what, call->argv[0]);
	if (r == 0)
		r = command_ask(call, "pool.delete", json_pack("{s:s}", "name", call->argv[0]),
				&result);
	if (r < 0)
		return r;
	/* serve shuts them down and deletes them; without it they are down. */
	if (serve_runs(call->store)) {
		serve_nudge(call->store);
	} else {
		json_array_foreach (json_object_get(result, "members"), k, v)
			if (r == 0)
				r = command_ask(call, "branch.delete",
						json_pack("{s:[O],s:i}", "names", v, "keep_ms", 0),
						NULL);
	}
	if (r == 0)
		r = output_print(&call->out, result, &record);
	json_decref(result);
	return r;
}

static const struct command_option delete_options[] = {
    COMMAND_OPTION_YES,
    {0},
};

const struct command cmd_pool_delete = {
    .group = "pool",
    .name = "delete",
    .aliases = "rm",
    .summary = "delete a pool; branches that were taken from it stay",
    .usage = "NAME [--yes]",
    .example = "cowfs pool delete ci --yes",
    .options = delete_options,
    .min_args = 1,
    .max_args = 1,
    .run = delete_run,
};
