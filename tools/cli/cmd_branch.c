// SPDX-License-Identifier: Apache-2.0
/* cowfs branch create, list, get, rename, set-default: what loses nothing.
 * What replaces or destroys contents is in cmd_branch_change.c. */
#include "tools/cli/commands.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/branch.h"
#include "store/cleanup.h"
#include "tools/cli/branch_columns.h"
#include "tools/cli/branch_migrations.h"
#include "tools/daemon/branch_settings.h"
#include "tools/pg/pg.h"
#include "tools/daemon/fork_policy.h"
#include "tools/pg/pgpasswords.h"
#include "tools/pg/pgplace.h"
#include "tools/pg/pgsettle.h"
#include "tools/process/process.h"
#include "tools/remote/remote.h"
#include "tools/serve/client.h"

static const struct output_column record[] = {
    {"name", "Name", OUTPUT_TEXT, NULL},
    {"id", "Id", OUTPUT_TEXT, NULL},
    {"parent", "Parent", OUTPUT_TEXT, NULL},
    {"current_state", "State", OUTPUT_TEXT, NULL},
    {"created_at", "Created", OUTPUT_AGE, NULL},
    {"last_reset_at", "Reset", OUTPUT_AGE, NULL},
    {"data_state_at", "Data as of", OUTPUT_AGE, NULL},
    {"expires_at", "Expires", OUTPUT_TEXT, NULL},
    {"unique_bytes", "Unique", OUTPUT_BYTES, NULL},
    {"logical_size", "Logical", OUTPUT_BYTES, NULL},
    {"quota_bytes", "Quota", OUTPUT_BYTES, NULL},
    {"quota_used_bytes", "Used of it", OUTPUT_BYTES, NULL},
    {"labels", "Labels", OUTPUT_LABELS, NULL},
    {"path", "Path", OUTPUT_TEXT, NULL},
    {"reason", "Reason", OUTPUT_TEXT, NULL},
    {"unlimited", "Without limits", OUTPUT_TEXT, NULL},
    {"fork", "Fork", OUTPUT_WORDS, NULL},
    {0},
};
const struct output_spec branch_record_spec = {.columns = record};

/* --- create --- */

static json_t *create_args(const struct command_call *call)
{
	json_t *args = json_pack("{s:s}", "name", call->argv[0]);
	const char *parent = command_option(call, "parent");

	if (!args)
		return json_object(); /* a name that is no UTF-8: refused by the check before */
	if (parent)
		json_object_set_new(args, "parent", json_string(parent));
	json_object_set_new(args, "empty", json_boolean(command_option(call, "empty")));
	json_object_set_new(args, "ephemeral", json_boolean(command_option(call, "ephemeral")));
	json_object_set_new(args, "if_not_exists",
			    json_boolean(command_option(call, "if-not-exists")));
	json_object_set_new(args, "fork", branch_settings_fork(call));
	return args;
}

/* psql is to end, and whoever gave the command still has to clear up: a branch without its seed.
 * ^C psql gets as well, twice does no harm; others send a signal to us alone. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	pid_t psql = process_running();

	interrupted = number;
	if (psql > 0)
		kill(psql, number);
}

static void outlive_interrupts(void)
{
	static const int numbers[] = {SIGINT, SIGHUP, SIGTERM};
	struct sigaction was, to = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};

	for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
		if (sigaction(numbers[k], NULL, &was) == 0 && was.sa_handler == SIG_DFL)
			sigaction(numbers[k], &to, NULL);
}

/* A branch without its seed is none: whoever tries again (--if-not-exists in a pipeline) would be
 * told that all is well. */
static int seed_or_delete(struct command_call *call, const char *seed)
{
	struct cow_error left = COW_ERROR_INIT;
	const char *name = call->argv[0];
	struct cow_error why;
	int r = pg_seed(call, name, seed, &interrupted);

	if (interrupted)
		r = cow_fail(&call->error, -EINTR, "interrupted, no branch was made");
	if (r == 0)
		return 0;
	why = call->error;
	if (serve_make_way(call->store, name, true, "its seed failed", &left) < 0 ||
	    command_ask(call, "branch.delete",
			json_pack("{s:[s],s:b,s:i}", "names", name, "force", 1, "keep_ms", 0),
			NULL) < 0)
		cow_hint(&why, r, "Branch %s is left without its seed: cowfs branch delete %s",
			 name, name);
	call->error = why;
	serve_nudge(call->store);
	return r;
}

/* By the policy of the branch: into result.passwords. */
static cow_errno make_passwords(struct command_call *call, json_t *result)
{
	const json_t *words = json_object_get(json_object_get(result, "settings"), "fork");
	const struct cow_pgfork_policy policy = fork_policy_parse(words);
	json_t *passwords = NULL;
	cow_errno r;

	if (command_option(call, "empty") || !pgpasswords_wanted(&policy))
		return 0;
	r = pgpasswords_make(call, call->argv[0], &passwords);
	if (r < 0)
		return cow_wrap(&call->error, r, "%s was made, but nobody has a password for it",
				call->argv[0]);
	json_object_set_new(result, "passwords", passwords);
	return 0;
}

/* They are nowhere else. */
static void print_passwords(const struct command_call *call, const json_t *result)
{
	json_t *passwords = json_object_get(result, "passwords"), *v;
	const char *role;

	if (call->out.format == OUTPUT_TABLE && json_object_size(passwords))
		fputs("New passwords, shown only now:\n", call->out.out);
	json_object_foreach (passwords, role, v)
		if (call->out.format == OUTPUT_TABLE)
			fprintf(call->out.out, "  %s  %s\n", role, json_string_value(v));
}

/* --- from a pool --- */

/* Its server runs with what the pool says; what was said for this branch it has from its next start
 * on, which is that of its first client. */
static void restart(struct command_call *call)
{
	if (!serve_runs(call->store) || serve_call(call->store, "suspend",
						   json_pack("{s:s,s:s}", "name", call->argv[0],
							     "why", "for settings of its own"),
						   NULL, NULL) < 0)
		fprintf(stderr,
			"note: what was said of the server of %s holds from its next start on\n",
			call->argv[0]);
}

/* Only what the answer needs: no look at the parent, no wait until serve has looked at all. */
static int take_from_pool(struct command_call *call, const char *pool, json_t *settings,
			  json_t **ret)
{
	bool other_server = branch_settings_of_server(settings);
	const char *was, *path;
	int r = command_ask(
	    call, "pool.take",
	    json_pack("{s:s,s:s,s:o}", "pool", pool, "name", call->argv[0], "settings", settings),
	    ret);

	was = r == 0 ? json_string_value(json_object_get(*ret, "was")) : NULL;
	path = r == 0 ? json_string_value(json_object_get(*ret, "path")) : NULL;
	if (was && path)
		pgplace_hand_over(call->store, was, call->argv[0], path);
	/* Before anybody knows its address. */
	if (r == 0)
		r = make_passwords(call, *ret);
	if (r == 0 && !was)
		serve_nudge(call->store);
	if (r < 0 || !was)
		return r;
	if (serve_runs(call->store))
		serve_call(call->store, "handed",
			   json_pack("{s:s,s:s}", "from", was, "to", call->argv[0]), NULL, NULL);
	if (other_server)
		restart(call);
	return 0;
}

static int create_from_pool(struct command_call *call, const char *pool)
{
	static const char *const others[] = {"parent", "empty", "ephemeral", "if-not-exists"};
	static const char *const of_pool[] = {"fork", "restricted", "reset-passwords"};
	json_t *settings = json_object(), *result = NULL;
	int r = 0;

	for (size_t k = 0; r == 0 && k < sizeof(others) / sizeof(others[0]); k++)
		if (command_option(call, others[k]))
			r = command_usage(call, "--from-pool and --%s exclude each other",
					  others[k]);
	/* The members have had their first start. */
	for (size_t k = 0; r == 0 && k < sizeof(of_pool) / sizeof(of_pool[0]); k++)
		if (command_option(call, of_pool[k]))
			r = command_usage(call, "--%s is said of the pool: cowfs pool create --%s",
					  of_pool[k], of_pool[k]);
	if (r == 0)
		r = branch_settings_read(call, settings);
	if (r < 0) {
		json_decref(settings);
		return r;
	}
	if (command_option(call, "seed"))
		outlive_interrupts();
	r = take_from_pool(call, pool, settings, &result);
	if (r == 0 && command_option(call, "seed"))
		r = seed_or_delete(call, command_option(call, "seed"));
	if (r == 0)
		branch_migrations(call, result);
	if (r == 0)
		r = output_print(&call->out, result, &branch_record_spec);
	print_passwords(call, result);
	json_decref(result);
	return r;
}

/* --- made now --- */

static int create_run(struct command_call *call)
{
	const char *seed = command_option(call, "seed");
	json_t *result = NULL, *args, *settings;
	int r = cow_branch_name_check(call->argv[0], &call->error);

	if (r == 0)
		r = branch_migrations_check(call);
	if (r != 0)
		return r;
	if (seed && command_option(call, "empty"))
		return command_usage(call, "--seed needs a database; an --empty branch has none");
	if (seed && strcmp(seed, "-") != 0 && access(seed, R_OK) < 0) {
		r = -errno;
		return cow_fail(&call->error, r, "cannot read %s: %s", seed, strerror(-r));
	}
	if (command_option(call, "from-pool"))
		return create_from_pool(call, command_option(call, "from-pool"));
	if (seed)
		outlive_interrupts();
	args = create_args(call);
	json_object_set_new(args, "settings", settings = json_object());
	r = branch_settings_read(call, settings);
	if (r == 0 && !command_option(call, "empty"))
		r = pgsettle(call, command_option(call, "parent"));
	if (r < 0) {
		json_decref(args);
		return r;
	}
	r = command_ask(call, "branch.create", args, &result);
	/* Before cowfs serve knows the branch: nobody gets in with an old password. */
	if (r == 0 && json_is_true(json_object_get(result, "created")))
		r = make_passwords(call, result);
	if (r == 0)
		serve_nudge(call->store);
	if (r == 0 && seed && json_is_true(json_object_get(result, "created")))
		r = seed_or_delete(call, seed);
	if (r == 0)
		branch_migrations(call, result);
	if (r == 0)
		r = output_print(&call->out, result, &branch_record_spec);
	print_passwords(call, result);
	json_decref(result);
	return r;
}

static const struct command_option create_options[] = {
    {"parent", 'p', "P", "NAME, NAME@SNAPSHOT, NAME@TIME or ^parent (default: the default branch)"},
    {"from-pool", 0, "POOL", "take one that is made, and whose server runs; else make it now"},
    {"empty", 0, NULL, "start from nothing: a base of its own"},
    {"ephemeral", 0, NULL, "faster; survives a crash of postgres, not of the machine"},
    {"if-not-exists", 0, NULL, "succeed when the branch is there already"},
    {"seed", 0, "FILE.sql",
     "run this file on the new branch, in one transaction, or make none; - = stdin"},
    {"migrations", 0, "LIST",
     "warn about those the branch lacks: names or ids, a folder, or - = stdin"},
    {"migrations-table", 0, "TABLE", "where they are kept (default: that of a known tool)"},
    BRANCH_SETTINGS_EXPIRY,
    BRANCH_SETTINGS_OTHERS,
    BRANCH_SETTINGS_ROLES,
    BRANCH_SETTINGS_FORK,
    {0},
};

const struct command cmd_branch_create = {
    .group = "branch",
    .name = "create",
    .summary = "make a branch, whatever the size of its parent",
    .usage = "NAME [--parent P|P@SNAPSHOT|P@TIME|^parent] [--empty] [--if-not-exists] "
	     "[--seed FILE.sql] [--migrations LIST] [--ttl TIME] [--restricted] "
	     "[--reset-passwords] [--fork KEY=WORD]...",
    .detail =
	"P@TIME is the newest snapshot of P that is not after TIME (RFC 3339); ^parent is the "
	"parent\nof the default branch. P may be running: the branch is what a power loss at "
	"this moment\nwould leave, and recovers as such.\n\n"
	"A branch does not reach out of itself: archiving and replication are off, and before its "
	"first\nclient subscriptions are disabled without their slots, jobs of pg_cron and workers "
	"of replication\nare off, and passwords of foreign servers are removed. --fork, or the "
	"section [fork] of\nSTORE/cowfs.conf for all later branches, changes that: "
	"subscriptions=disabled|kept,\nworkers=off|kept, foreign_passwords=removed|kept, "
	"role_passwords=kept|replaced, superusers=kept|locked.\n\n"
	"Locked superusers (--restricted) come in only as the user of this machine who owns the "
	"files;\nclients use the role \"restricted\", which owns what they owned and may what "
	"every "
	"other role may,\nbut run no programs and read no files of the machine. Passwords that are "
	"made here stay the\nsame over reset and restore.\n\n"
	"--migrations says what an application expects: the image may be older than its main "
	"branch. The\ntable of Flyway, Prisma, Rails (Ecto, dbmate), Django, Liquibase, Alembic, "
	"Knex, Sequelize, sqlx,\ngoose or golang-migrate is found in any database of the branch, "
	"whose server is started for it. For\nmigrations of main alone, not those of the pull "
	"request: git ls-tree --name-only origin/main\nmigrations/ | cowfs branch create ... "
	"--migrations -. For Alembic give its heads, for Liquibase\nids. It is a warning, and "
	"\"migrations\" in the JSON; never an error.",
    .example = "cowfs branch create feature/add-orgs --parent main",
    .options = create_options,
    .min_args = 1,
    .max_args = 1,
    .operands = "-",
    .run = create_run,
    .run_remote = branch_create_remote,
};

/* --- list and get --- */

static const struct output_column row[] = {
    {"name", "NAME", OUTPUT_TEXT, NULL},
    {"parent", "PARENT", OUTPUT_TEXT, NULL},
    {"current_state", "STATE", OUTPUT_TEXT, NULL},
    {"created_at", "CREATED", OUTPUT_AGE, NULL},
    {"unique_bytes", "UNIQUE", OUTPUT_BYTES, NULL},
    {"labels", "LABELS", OUTPUT_LABELS, NULL},
    {0},
};
static const struct output_spec list_spec = {.rows = "branches", .columns = row};
static const struct output_spec tree_spec = {
    .rows = "branches",
    .columns = row,
    .tree_id = "id",
    .tree_parent = "parent_id",
};

static int list_branches(struct command_call *call)
{
	/* Names alone need no look at every block map. */
	bool space = !call->out.quiet, all = command_option(call, "space");
	json_t *result = NULL;
	long long left;
	int r = command_ask(call, "branch.list",
			    json_pack("{s:b,s:b}", "space", (int)space, "all", (int)all), &result);

	if (r == 0)
		serve_overlay(call->store, json_object_get(result, "branches"));
	if (r == 0)
		r = output_print(&call->out, result,
				 command_option(call, "tree") ? &tree_spec : &list_spec);
	left = json_integer_value(json_object_get(result, "unmeasured"));
	if (r == 0 && left > 0)
		fprintf(stderr,
			"cowfs: the space of %lld branches was not measured; use --space to "
			"measure all\n",
			left);
	json_decref(result);
	return r;
}

static const struct output_column gone[] = {
    {"name", "NAME", OUTPUT_TEXT, NULL},     {"id", "ID", OUTPUT_TEXT, NULL},
    {"parent", "PARENT", OUTPUT_TEXT, NULL}, {"deleted_at", "DELETED", OUTPUT_AGE, NULL},
    {"purge_at", "KEPT", OUTPUT_AGE, NULL},  {0},
};
static const struct output_spec gone_spec = {.rows = "deleted", .columns = gone};

static int list_run(struct command_call *call)
{
	if (command_option(call, "deleted"))
		return command_verb(call, "branch.deleted", NULL, &gone_spec);
	return list_branches(call);
}

static const struct command_option list_options[] = {
    {"tree", 't', NULL, "children below their parents"},
    {"space", 0, NULL, "measure the space of all, however long it takes"},
    {"deleted", 0, NULL, "those that were deleted and can be had back"},
    {0},
};

const struct command cmd_branch_list = {
    .group = "branch",
    .name = "list",
    .aliases = "ls",
    .summary = "list the branches",
    .usage = "[--tree] [--space] [--deleted]",
    .detail = "UNIQUE is what only this branch, with its snapshots, takes on the disk.",
    .example = "cowfs branch list --tree",
    .options = list_options,
    .run = list_run,
};

static int get_run(struct command_call *call)
{
	json_t *result = NULL;
	int r = command_ask(call, "branch.get", json_pack("{s:s}", "name", call->argv[0]), &result);

	if (r == 0) {
		serve_overlay(call->store, result);
		r = output_print(&call->out, result, &branch_record_spec);
	}
	json_decref(result);
	return r;
}

const struct command cmd_branch_get = {
    .group = "branch",
    .name = "get",
    .aliases = "show describe view",
    .summary = "show one branch",
    .usage = "[NAME]",
    .example = "cowfs branch get main -o json",
    .max_args = 1,
    .operands = "branch",
    .pins = true,
    .run = get_run,
};

/* --- rename and set-default --- */

static int rename_run(struct command_call *call)
{
	int r = cow_branch_name_check(call->argv[1], &call->error);

	if (r < 0)
		return r;
	r = serve_make_way(call->store, call->argv[0], false, "for cowfs branch rename",
			   &call->error);
	if (r == 0)
		r = command_verb(call, "branch.rename",
				 json_pack("{s:s,s:s}", "from", call->argv[0], "to", call->argv[1]),
				 &branch_record_spec);
	if (r == 0) {
		pgplace_rename_log(call->store, call->argv[0], call->argv[1]);
		serve_nudge(call->store);
	}
	return r;
}

const struct command cmd_branch_rename = {
    .group = "branch",
    .name = "rename",
    .aliases = "mv",
    .summary = "give a branch another name",
    .usage = "A B",
    .example = "cowfs branch rename feature/x feature/y",
    .min_args = 2,
    .max_args = 2,
    .operands = "branch -",
    .run = rename_run,
};

static int set_default_run(struct command_call *call)
{
	return command_verb(call, "branch.set_default", json_pack("{s:s}", "name", call->argv[0]),
			    &branch_record_spec);
}

const struct command cmd_branch_set_default = {
    .group = "branch",
    .name = "set-default",
    .summary = "make a branch the default one: the parent of new branches",
    .usage = "NAME",
    .example = "cowfs branch set-default main",
    .min_args = 1,
    .max_args = 1,
    .operands = "branch",
    .run = set_default_run,
};
