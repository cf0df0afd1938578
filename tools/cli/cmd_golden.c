// SPDX-License-Identifier: Apache-2.0
/* cowfs golden init, check, preview, refresh: the golden image up to a masked branch; what follows
 * is in the other cmd_golden_*.c. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/cli/commands.h"
#include "tools/cli/golden_option.h"
#include "tools/cli/parse.h"
#include "tools/golden/golden.h"
#include "tools/golden/init.h"
#include "tools/golden/look.h"

/* Only in the whole executable (whole.h). */
#pragma weak golden_check
#pragma weak golden_preview

/* --- init --- */

static const struct output_column made[] = {
    {"config", "Configuration", OUTPUT_TEXT, NULL},
    {"rules", "Rules", OUTPUT_TEXT, NULL},
    {"registered", "Known to the store", OUTPUT_BOOL, NULL},
    {0},
};
static const struct output_spec made_spec = {.columns = made};

static int init_run(struct command_call *call)
{
	char real[PATH_MAX], conf[PATH_MAX + 16];
	bool noted = false;
	json_t *result;
	cow_errno r = golden_init(call->argv[0], &call->error);

	if (r < 0)
		return r;
	if (!realpath(call->argv[0], real))
		return cow_fail(&call->error, -errno, "cannot find %s: %s", call->argv[0],
				strerror(errno));
	snprintf(conf, sizeof(conf), "%s/golden.conf", real);
	if (call->store && *call->store)
		r = golden_init_register(call->store, conf, &noted, &call->error);
	if (r < 0)
		return r;
	result = json_pack("{s:s,s:s+,s:b}", "config", conf, "rules", real, "/rules", "registered",
			   noted);
	r = output_print(&call->out, result, &made_spec);
	json_decref(result);
	if (r == 0 && call->out.format == OUTPUT_TABLE)
		fputs("Say in golden.conf where production is, then list its columns with: cowfs "
		      "golden check\n",
		      stderr);
	return r;
}

const struct command cmd_golden_init = {
    .group = "golden",
    .name = "init",
    .summary = "write a commented golden.conf and a folder of rules",
    .usage = "DIR",
    .detail = "Both belong under version control; neither holds a secret. With a store given, it "
	      "remembers\nwhere they are (section [golden] of its cowfs.conf).",
    .example = "cowfs golden init /etc/cowfs/golden",
    .min_args = 1,
    .max_args = 1,
    .operands = "dir",
    .run = init_run,
};

/* --- check --- */

cow_errno golden_conf_of(struct command_call *call, struct golden_conf **ret)
{
	const char *given = command_option(call, "config"), *store;
	CLEANUP_FREE char *found = NULL;
	cow_errno r = 0;

	if (!given) {
		r = command_store(call, &store);
		if (r == 0)
			r = golden_init_find(store, &found, &call->error);
	}
	return r < 0 ? r : golden_conf_load(given ? given : found, ret, &call->error);
}

static const struct output_column problems[] = {
    {"database", "DATABASE", OUTPUT_TEXT, NULL},
    {"schema", "SCHEMA", OUTPUT_TEXT, NULL},
    {"table", "TABLE", OUTPUT_TEXT, NULL},
    {"column", "COLUMN", OUTPUT_TEXT, NULL},
    {"type", "TYPE", OUTPUT_TEXT, NULL},
    {"problem", "PROBLEM", OUTPUT_TEXT, NULL},
    {"suggestion", "SUGGESTION", OUTPUT_TEXT, NULL},
    {"reason", "WHY", OUTPUT_TEXT, NULL},
    {0},
};
static const struct output_spec problems_spec = {.rows = "problems", .columns = problems};

static const struct output_column checked[] = {
    {"config", "Configuration", OUTPUT_TEXT, NULL},
    {"rules", "Rules", OUTPUT_NUMBER, NULL},
    {"rules_hash", "Hash", OUTPUT_TEXT, NULL},
    {"databases", "Databases", OUTPUT_NUMBER, NULL},
    {"tables", "Tables", OUTPUT_NUMBER, NULL},
    {"columns", "Columns", OUTPUT_NUMBER, NULL},
    {0},
};
static const struct output_spec checked_spec = {.columns = checked};

static int check_run(struct command_call *call)
{
	const struct golden_look where = {command_option(call, "branch"),
					  command_option(call, "url")};
	struct golden_conf *conf = NULL;
	json_t *result = NULL, *note;
	size_t k;
	cow_errno r = golden_conf_of(call, &conf), printed = 0;

	if (r == 0 && where.branch && where.url)
		r = command_usage(call, "--branch and --url exclude each other");
	if (r == 0)
		r = golden_check(call, conf, &where, &result, &call->error);
	if (result)
		printed = output_print(&call->out, result, r < 0 ? &problems_spec : &checked_spec);
	json_array_foreach (json_object_get(result, "notes"), k, note)
		fprintf(stderr, "note: %s\n", json_string_value(note));
	json_decref(result);
	golden_conf_free(conf);
	return r < 0 ? r : printed;
}

static const struct command_option check_options[] = {
    OPTION_CONFIG,
    {"branch", 'b', "BRANCH", "look at a copy of this branch"},
    {"url", 0, "URL", "look at this server: a connection string"},
    {0},
};

const struct command cmd_golden_check = {
    .group = "golden",
    .name = "check",
    .summary = "list the columns that nobody decided about, each with a suggestion",
    .usage = "[--config FILE] [--branch BRANCH | --url URL]",
    .detail =
	"Does what a refresh would do first, and nothing else. Looks at the source when it is a "
	"running\nserver, else at the present image. Values are looked at for suggestions and "
	"never "
	"shown. Ends\nwith status 4 when something is undecided.",
    .example = "cowfs golden check --branch feature/add-birthday",
    .options = check_options,
    .whole = true,
    .run = check_run,
};

/* --- preview --- */

/* Originals are for the eyes of the owner of the store: not for a file, a pipe, or a log of CI. */
static bool may_see(const char *store)
{
	struct stat st;

	return isatty(STDOUT_FILENO) && stat(store, &st) == 0 && st.st_uid == geteuid();
}

static void print_preview(FILE *out, const json_t *result)
{
	const char *column;
	json_t *row, *cell;
	size_t k;

	json_array_foreach (json_object_get(result, "rows"), k, row) {
		fprintf(out, "%srow %zu\n", k ? "\n" : "", k + 1);
		json_object_foreach (row, column, cell) {
			json_t *before = json_object_get(cell, "before");
			const char *after = json_string_value(json_object_get(cell, "after"));

			fprintf(out, "  %-20s %s -> %s\n", column,
				!before                  ? "(hidden)"
				: json_is_string(before) ? json_string_value(before)
							 : "NULL",
				after ? after : "NULL");
		}
	}
}

static int preview_run(struct command_call *call)
{
	struct golden_preview how = {.table = call->argv[0],
				     .database = command_option(call, "dbname"),
				     .branch = command_option(call, "branch")};
	const char *rows = command_option(call, "rows"), *store;
	struct golden_conf *conf = NULL;
	json_t *result = NULL;
	uint64_t n = 5;
	cow_errno r = command_store(call, &store);

	if (r == 0 && rows)
		r = parse_number(rows, 1, 1000, &n, &call->error);
	if (r == 0)
		r = golden_conf_of(call, &conf);
	if (r == 0) {
		how.rows = (unsigned)n;
		how.show = may_see(store);
		r = golden_preview(call, conf, &how, &result, &call->error);
	}
	if (r == 0 && call->out.format == OUTPUT_TABLE)
		print_preview(call->out.out, result);
	else if (r == 0)
		r = output_print(&call->out, result, NULL);
	json_decref(result);
	golden_conf_free(conf);
	return r;
}

static const struct command_option preview_options[] = {
    OPTION_CONFIG,
    {"branch", 'b', "BRANCH", "rows of this branch (default: the source is fetched for it)"},
    {"dbname", 'd', "NAME", "database (default: the first that has the table)"},
    {"rows", 'n', "N", "how many rows (default: 5)"},
    {0},
};

const struct command cmd_golden_preview = {
    .group = "golden",
    .name = "preview",
    .summary = "show what the rules make of some rows of a table",
    .usage = "[SCHEMA.]TABLE [--branch BRANCH] [--rows N]",
    .detail = "Works on a throw-away branch. The values before masking are shown on a terminal of "
	      "the\nowner of the store, and nowhere else.",
    .example = "cowfs golden preview public.users --rows 3",
    .options = preview_options,
    .min_args = 1,
    .max_args = 1,
    .whole = true,
    .run = preview_run,
};
