// SPDX-License-Identifier: Apache-2.0
/* cowfs checkout: the branch that commands in this directory mean when none is named. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/cli/checkout.h"
#include "tools/cli/commands.h"
#include "tools/pg/pgbranch.h"
#include "tools/serve/client.h"

static const struct output_column columns[] = {
    {"branch", "Branch", OUTPUT_TEXT, "COWFS_BRANCH"},
    {"store", "Store", OUTPUT_TEXT, "COWFS_STORE"},
    {"previous", "Before", OUTPUT_TEXT, NULL},
    {"file", "File", OUTPUT_TEXT, NULL},
    {NULL, NULL, 0, NULL},
};
static const struct output_spec spec = {.columns = columns};

static cow_errno show(struct command_call *call, const struct checkout *c, bool name_only)
{
	json_t *o =
	    json_pack("{s:s,s:s,s:o,s:s}", "branch", c->branch, "store", c->store, "previous",
		      c->previous[0] ? json_string(c->previous) : json_null(), "file", c->path);
	cow_errno r = 0;

	if (name_only && call->out.format == OUTPUT_TABLE)
		fprintf(call->out.out, "%s\n", c->branch);
	else
		r = output_print(&call->out, o, &spec);
	json_decref(o);
	return r;
}

static cow_errno no_pin(struct command_call *call)
{
	cow_fail(&call->error, -ENOENT, "no branch is checked out here");
	return cow_hint(&call->error, -ENOENT, "Check one out: cowfs checkout BRANCH");
}

/* The branch must be there; that it was never started is fine. */
static cow_errno check_branch(struct command_call *call, const char *name)
{
	return command_ask(call, "server.place", json_pack("{s:s}", "name", name), NULL);
}

/* Beside the file that pins, which may be above. The caller frees; NULL = no memory. */
static char *env_beside(const struct checkout *c)
{
	char *path = NULL;

	return asprintf(&path, "%.*s.env", (int)(strrchr(c->path, '/') - c->path) + 1, c->path) < 0
		   ? NULL
		   : path;
}

/* Commands use the one branch, the application the other: seldom what was meant. Role and database
 * were chosen when it was written, so it is not written anew unasked. */
static void warn_of_env(const struct checkout *c)
{
	CLEANUP_FREE char *path = env_beside(c);

	if (path && checkout_env_is_of_another(path, c->branch))
		fprintf(stderr,
			"note: %s still leads to another branch; to change that: cowfs "
			"checkout %s --env\n",
			path, c->branch);
}

static cow_errno write_env(struct command_call *call, const struct checkout *c, const char *file)
{
	const char *role = command_option(call, "user"), *database = command_option(call, "dbname");
	CLEANUP_FREE char *block = NULL, *beside = NULL;
	struct pgbranch b;
	struct pgurl u;
	cow_errno r = pgbranch_find(call, c->branch, (struct pgbranch_port){.choose = true}, &b);

	if (r < 0)
		return r;
	serve_nudge(call->store);
	u = pgbranch_address(&b, role, database);
	r = pgurl_print(&u, PGURL_DOTENV, &block, &call->error);
	if (r == 0 && !*file && !(beside = env_beside(c)))
		r = cow_fail(&call->error, -ENOMEM, "no memory for a path");
	return r < 0 ? r : checkout_update_env(*file ? file : beside, block, &call->error);
}

static int run(struct command_call *call)
{
	const char *env = command_option(call, "env-file"),
		   *wanted = call->argc ? call->argv[0] : NULL;
	struct cow_error why = COW_ERROR_INIT;
	struct checkout c;
	const char *store;
	cow_errno r = checkout_find(&c, &why);

	if (r < 0 && r != -ENOENT) {
		call->error = why;
		return r;
	}
	if (!wanted || command_option(call, "print"))
		return r < 0 ? no_pin(call) : show(call, &c, true);
	if (strcmp(wanted, "-") == 0 && !c.previous[0])
		return no_pin(call);
	if (strcmp(wanted, "-") == 0)
		wanted = c.previous;
	r = command_store(call, &store);
	if (r == 0)
		r = check_branch(call, wanted);
	if (r < 0)
		return r;
	if (!realpath(store, c.store))
		return cow_fail(&call->error, -errno, "cannot find %s: %s", store, strerror(errno));
	if (strcmp(wanted, c.branch) != 0) {
		char name[sizeof(c.branch)];

		snprintf(name, sizeof(name), "%s", wanted);
		memcpy(c.previous, c.branch, sizeof(c.previous));
		memcpy(c.branch, name, sizeof(c.branch));
	}
	r = checkout_write(&c, &call->error);
	if (r == 0 && (env || command_option(call, "env")))
		r = write_env(call, &c, env ? env : "");
	else if (r == 0 && !call->out.quiet)
		warn_of_env(&c);
	return r < 0 ? r : show(call, &c, false);
}

static const struct command_option options[] = {
    {"print", 0, NULL, "print the name of the branch that is checked out, change nothing"},
    {"env", 0, NULL, "write its address into the .env file beside .cowfs"},
    {"env-file", 0, "FILE", "write it into this file instead"},
    {"user", 'U', "USER", "role in that address (default: the name of the owner of the data)"},
    {"dbname", 'd', "NAME", "database in that address (default: postgres)"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_checkout = {
    .name = "checkout",
    .aliases = "switch",
    .summary = "choose the branch of this directory",
    .usage = "[BRANCH|-] [--print] [--env] [--env-file FILE]",
    .detail = "Commands that take one BRANCH use it when none is named, here and in the "
	      "directories below; the\n"
	      "environment variable COWFS_BRANCH goes before it. - is the branch before. Kept in "
	      "the file "
	      ".cowfs,\nwith the store; it counts only if it is yours or root's. In the .env file "
	      "a marked "
	      "block is replaced;\nlines elsewhere that set the same names become comments, all "
	      "others stay.",
    .example = "cowfs checkout feature/add-orgs --env\n"
	       "cowfs psql\n"
	       "cowfs checkout -",
    .options = options,
    .max_args = 1,
    .operands = "branch",
    .run = run,
};
