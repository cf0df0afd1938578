// SPDX-License-Identifier: Apache-2.0
/* cowfs diff, du, gc. */
#include "tools/cli/commands.h"

#include <stdio.h>

/* --- diff --- */

static const struct output_column file[] = {
    {"path", "PATH", OUTPUT_TEXT, NULL},
    {"change", "CHANGE", OUTPUT_TEXT, NULL},
    {"blocks", "BLOCKS", OUTPUT_NUMBER, NULL},
    {"bytes", "BYTES", OUTPUT_BYTES, NULL},
    {0},
};
static const struct output_spec files_spec = {.rows = "files", .columns = file};

static const struct output_column sums[] = {
    {"added", "Files added", OUTPUT_NUMBER, NULL},
    {"removed", "Files removed", OUTPUT_NUMBER, NULL},
    {"changed", "Files changed", OUTPUT_NUMBER, NULL},
    {"blocks", "Blocks", OUTPUT_NUMBER, NULL},
    {"bytes", "Bytes", OUTPUT_BYTES, NULL},
    {0},
};
static const struct output_spec sums_spec = {.columns = sums};

static int diff_run(struct command_call *call)
{
	bool stat = command_option(call, "stat"), files = command_option(call, "files");
	json_t *result = NULL;
	int r;

	if (stat && files)
		return command_usage(call, "--stat and --files exclude each other");
	r = command_ask(
	    call, "diff",
	    json_pack("{s:s,s:s,s:b}", "a", call->argv[0], "b", call->argv[1], "stat", (int)stat),
	    &result);
	if (files)
		call->out.quiet = true;
	if (r == 0)
		r = output_print(&call->out, result, stat ? &sums_spec : &files_spec);
	/* People see the sums below the files; programs have them in the JSON already. */
	if (r == 0 && !stat && !call->out.quiet && call->out.format == OUTPUT_TABLE) {
		if (json_array_size(json_object_get(result, "files")) > 0)
			fputc('\n', call->out.out);
		r = output_print(&call->out, result, &sums_spec);
	}
	json_decref(result);
	return r;
}

static const struct command_option diff_options[] = {
    {"stat", 0, NULL, "only the sums"},
    {"files", 0, NULL, "only the names of the files, one per line"},
    {0},
};

const struct command cmd_diff = {
    .name = "diff",
    .summary = "files and blocks that differ between two branches or snapshots",
    .usage = "A[@S] B[@S] [--stat] [--files]",
    .example = "cowfs diff main feature/add-orgs --stat",
    .options = diff_options,
    .min_args = 2,
    .max_args = 2,
    .operands = "point",
    .run = diff_run,
};

/* --- du --- */

static const struct output_column use[] = {
    {"name", "NAME", OUTPUT_TEXT, NULL},
    {"logical_size", "LOGICAL", OUTPUT_BYTES, NULL},
    {"unique_bytes", "UNIQUE", OUTPUT_BYTES, NULL},
    {"quota_bytes", "QUOTA", OUTPUT_BYTES, NULL},
    {"quota_used_bytes", "USED OF IT", OUTPUT_BYTES, NULL},
    {0},
};
static const struct output_spec use_spec = {.rows = "branches", .columns = use};

static const struct output_column freed[] = {
    {"freed_bytes", "Freed if all of these were deleted:", OUTPUT_BYTES, NULL},
    {0},
};
static const struct output_spec freed_spec = {.columns = freed};

static json_t *operands(const struct command_call *call)
{
	json_t *names = json_array();

	for (int k = 0; k < call->argc; k++)
		json_array_append_new(names, json_string(call->argv[k]));
	return names;
}

static int du_run(struct command_call *call)
{
	json_t *result = NULL;
	int r = command_ask(call, "du", json_pack("{s:o}", "branches", operands(call)), &result);

	if (r == 0)
		r = output_print(&call->out, result, &use_spec);
	if (r == 0 && !call->out.quiet && call->out.format == OUTPUT_TABLE)
		r = output_print(&call->out, result, &freed_spec);
	json_decref(result);
	return r;
}

const struct command cmd_du = {
    .name = "du",
    .summary = "space: logical, unique, and what deleting would give back",
    .usage = "[BRANCH...]",
    .detail = "LOGICAL is the sum of the file sizes, UNIQUE what only this branch with its "
	      "snapshots takes.",
    .example = "cowfs du main feature/add-orgs",
    .max_args = -1,
    .operands = "branch",
    .run = du_run,
};

/* --- gc --- */

static const struct output_column collected[] = {
    {"lineages", "Lineages dropped", OUTPUT_NUMBER, NULL},
    {"records", "Records dropped", OUTPUT_NUMBER, NULL},
    {"blocks", "Blocks punched", OUTPUT_NUMBER, NULL},
    {"files", "Files removed", OUTPUT_NUMBER, NULL},
    {"freed_bytes", "Freed", OUTPUT_BYTES, NULL},
    {0},
};
static const struct output_spec collected_spec = {.columns = collected};

static int gc_run(struct command_call *call)
{
	return command_verb(call, "gc", NULL, &collected_spec);
}

static const struct command_option gc_options[] = {
    {"now", 0, NULL, "do it now, at full speed (the default when called by hand)"},
    {0},
};

const struct command cmd_gc = {
    .name = "gc",
    .summary = "free now what the background would free later",
    .usage = "[--now]",
    .example = "cowfs gc --now",
    .options = gc_options,
    .run = gc_run,
};
