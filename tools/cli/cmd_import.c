// SPDX-License-Identifier: Apache-2.0
/* cowfs import: a data directory becomes a branch. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/commands.h"

static const struct output_column columns[] = {
    {"name", "Branch", OUTPUT_TEXT, "COWFS_BRANCH"},
    {"source", "From", OUTPUT_TEXT, NULL},
    {"version", "PostgreSQL", OUTPUT_NUMBER, NULL},
    {"files", "Files", OUTPUT_NUMBER, NULL},
    {"bytes", "Size", OUTPUT_BYTES, NULL},
    {"path", "Directory", OUTPUT_TEXT, NULL},
    {NULL, NULL, 0, NULL},
};
static const struct output_spec spec = {.columns = columns};

static void print_warnings(const json_t *result)
{
	json_t *w;
	size_t k;

	json_array_foreach (json_object_get(result, "warnings"), k, w)
		fprintf(stderr, "note: %s\n", json_string_value(w));
}

static int run(struct command_call *call)
{
	char real[PATH_MAX];
	json_t *result = NULL;
	cow_errno r;

	if (!realpath(call->argv[0], real)) {
		r = -errno;
		cow_fail(&call->error, r, "cannot find %s: %s", call->argv[0], strerror(-r));
		return cow_hint(&call->error, r,
				"Name the directory that `SHOW data_directory` prints.");
	}
	r = command_ask(call, "import",
			json_pack("{s:s,s:s,s:b,s:b}", "pgdata", real, "name", call->argv[1],
				  "move", command_option(call, "move") != NULL, "verify",
				  command_option(call, "no-verify") == NULL),
			&result);
	if (r == 0) {
		if (call->out.format == OUTPUT_TABLE)
			print_warnings(result);
		r = output_print(&call->out, result, &spec);
		if (r < 0)
			cow_fail(&call->error, r, "cannot print: %s", strerror(-r));
	}
	json_decref(result);
	return r;
}

static const struct command_option options[] = {
    {"move", 0, NULL,
     "take the files over instead of copying them; the original is empty afterwards"},
    {"no-verify", 0, NULL, "do not check pg_control and that nothing changed meanwhile"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_import = {
    .name = "import",
    .summary = "bring a PostgreSQL data directory into the store as a branch",
    .usage = "PGDATA NAME [--move] [--no-verify]",
    .detail =
	"PGDATA is of a server that does not run, or a base backup. Tablespaces and a linked "
	"pg_wal "
	"become\npart of the branch; configuration that Debian keeps in /etc/postgresql is brought "
	"in. Without\n--move the original is only read.",
    .example = "cowfs import /var/lib/postgresql/15/main main",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .operands = "dir -",
    .run = run,
};
