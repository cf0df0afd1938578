// SPDX-License-Identifier: Apache-2.0
/* cowfs url, cowfs psql: how to reach the server of a branch. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/cli/commands.h"
#include "tools/pg/pgbranch.h"
#include "tools/serve/client.h"

/* --- url --- */

static const struct output_column columns[] = {
    {"connection_uri", "URL", OUTPUT_TEXT, "DATABASE_URL"},
    {"host", "Host", OUTPUT_TEXT, "PGHOST"},
    {"port", "Port", OUTPUT_NUMBER, "PGPORT"},
    {"user", "User", OUTPUT_TEXT, "PGUSER"},
    {"database", "Database", OUTPUT_TEXT, "PGDATABASE"},
    {NULL, NULL, 0, NULL},
};
static const struct output_spec spec = {.columns = columns};

static int run_url(struct command_call *call)
{
	struct pgbranch b;
	json_t *result;
	cow_errno r = pgbranch_find(call, call->argv[0], (struct pgbranch_port){0}, &b);

	if (r < 0)
		return r;
	/* Behind a proxy every branch has an address, and it may be used at once. */
	if (r == 0 && b.port == 0 && serve_runs(call->store)) {
		serve_nudge(call->store);
		r = pgbranch_find(call, b.name, (struct pgbranch_port){0}, &b);
	}
	if (r < 0)
		return r;
	if (b.port == 0) {
		cow_fail(&call->error, -ENOENT, "%s has no address: it was never started", b.name);
		return cow_hint(&call->error, -ENOENT, "Start it: cowfs start %s", b.name);
	}
	if (!b.state.running && call->out.format == OUTPUT_TABLE && !serve_runs(call->store))
		fprintf(stderr, "%s is not running; start it with: cowfs start %s\n", b.name,
			b.name);
	result = pgbranch_json(&b, command_option(call, "user"), command_option(call, "dbname"));
	/* In table mode the URL alone: it is made to be pasted and piped. */
	if (call->out.format == OUTPUT_TABLE) {
		fprintf(call->out.out, "%s\n",
			json_string_value(json_object_get(result, "connection_uri")));
	} else {
		r = output_print(&call->out, result, &spec);
		if (r < 0)
			cow_fail(&call->error, r, "cannot print: %s", strerror(-r));
	}
	json_decref(result);
	return r;
}

#define ADDRESS_OPTIONS                                                                            \
	{"user", 'U', "USER", "role to connect as (default: the name of the owner of the data)"},  \
	{                                                                                          \
		"dbname", 'd', "NAME", "database (default: postgres)"                              \
	}

static const struct command_option url_options[] = {
    ADDRESS_OPTIONS,
    {NULL, 0, NULL, NULL},
};

const struct command cmd_url = {
    .name = "url",
    .summary = "print the connection string of a branch",
    .usage = "BRANCH [--user USER] [--dbname NAME]",
    .detail = "It stays the same over stop and start, reset and restore. With -o env: "
	      "DATABASE_URL, PGHOST,\n"
	      "PGPORT, PGUSER and PGDATABASE.",
    .example = "cowfs url feature/add-orgs\n"
	       "cowfs url feature/add-orgs -o env >> .env",
    .options = url_options,
    .min_args = 1,
    .max_args = 1,
    .run = run_url,
};

/* --- psql --- */

/* Become psql. Over the socket and as the owner of the data, so that peer authentication lets us
 * in. */
static cow_errno become_psql(struct command_call *call, const struct pgbranch *b)
{
	const char *user = command_option(call, "user"), *dbname = command_option(call, "dbname");
	char port[16], program[PATH_MAX + 8];
	char **argv = calloc((size_t)call->tail_argc + 2, sizeof(*argv));
	cow_errno r;

	if (!argv)
		return cow_fail(&call->error, -ENOMEM, "no memory to run psql");
	snprintf(port, sizeof(port), "%d", b->port);
	snprintf(program, sizeof(program), "%s/psql", b->bindir);
	setenv("PGHOST", b->socket_dir, 1);
	setenv("PGPORT", port, 1);
	setenv("PGUSER", user ? user : b->user, 1);
	setenv("PGDATABASE", dbname ? dbname : "postgres", 1);
	argv[0] = program;
	for (int k = 0; k < call->tail_argc; k++)
		argv[k + 1] = call->tail[k];
	fflush(NULL);
	r = pgserver_become_owner(b->pgdata, &call->error);
	if (r == 0) {
		execv(program, argv);
		r = cow_fail(&call->error, -errno, "cannot run %s: %s", program, strerror(errno));
	}
	free(argv);
	return r;
}

static int run_psql(struct command_call *call)
{
	struct pgbranch b;
	cow_errno r = pgbranch_find(call, call->argv[0], (struct pgbranch_port){0}, &b);

	if (r == 0 && !b.state.running && !serve_runs(call->store)) {
		cow_fail(&call->error, -ENOTCONN, "%s is not running", b.name);
		r = cow_hint(&call->error, -ENOTCONN, "Start it: cowfs start %s", b.name);
	}
	if (r == 0)
		r = pgbranch_find_programs(&b, command_option(call, "bindir"), &call->error);
	return r < 0 ? r : become_psql(call, &b);
}

static const struct command_option psql_options[] = {
    ADDRESS_OPTIONS,
    {"bindir", 0, "DIR", "directory of the psql program (default: found by version)"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_psql = {
    .name = "psql",
    .summary = "open psql on a branch",
    .usage = "BRANCH [-d NAME] [-- ARGUMENTS OF PSQL]",
    .detail = "Connects over the socket of the branch, as the owner of the data. The exit status "
	      "is psql's.",
    .example = "cowfs psql feature/add-orgs -- -c 'select count(*) from orders'",
    .options = psql_options,
    .min_args = 1,
    .max_args = 1,
    .takes_tail = true,
    .run = run_psql,
};
