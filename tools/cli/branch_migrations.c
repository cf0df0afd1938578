// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/branch_migrations.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/pg/pg_migrations.h"
#include "tools/pg/pgvisit.h"
#include "tools/process/process.h"
#include "tools/remote/remote.h"
#include "tools/schema/migrations.h"

#define NAMED 3u /* of those that are missing, in the line for people */

int branch_migrations_check(struct command_call *call)
{
	const char *list = command_option(call, "migrations"), *seed = command_option(call, "seed");

	if (command_option(call, "migrations-table") && !list)
		return command_usage(call, "--migrations-table needs --migrations: what should be "
					   "there");
	if (list && command_option(call, "empty"))
		return command_usage(call, "--migrations needs a database; an --empty branch has "
					   "none");
	if (list && seed && strcmp(list, "-") == 0 && strcmp(seed, "-") == 0)
		return command_usage(call, "--migrations and --seed cannot both read stdin");
	return 0;
}

static cow_errno read_applied(const struct pgbranch *b, void *arg, json_t **ret,
			      struct cow_error *e)
{
	const struct pg_address at = {.host = b->socket_dir, .port = b->port, .user = b->user};

	return cow_pg_migrations(&at, arg, migrations_tables, migrations_tools, ret, e);
}

static const struct migrations_tool *tool_of(const json_t *found)
{
	const char *name = json_string_value(json_object_get(found, "tool"));

	for (const struct migrations_tool *t = migrations_tools; name && t->name; t++)
		if (strcmp(t->name, name) == 0)
			return t;
	return NULL;
}

static void say(const char *branch, const json_t *judged)
{
	const json_t *missing = json_object_get(judged, "missing");
	size_t n = json_array_size(missing);

	if (n == 0)
		return;
	fprintf(stderr, "cowfs: warning: %s lacks %zu of %lld migrations (%s, %s):", branch, n,
		(long long)json_integer_value(json_object_get(judged, "expected")),
		json_string_value(json_object_get(judged, "tool")),
		json_string_value(json_object_get(judged, "table")));
	for (size_t k = 0; k < n && k < NAMED; k++)
		fprintf(stderr, " %s", json_string_value(json_array_get(missing, k)));
	fprintf(stderr,
		"%s\nhint: Its parent is older than they are. Refresh the image, or apply "
		"them on the branch.\n",
		n > NAMED ? " ..." : "");
}

static cow_errno judge(struct command_call *call, json_t *result, struct cow_error *e)
{
	json_t *expected = NULL, *found = NULL, *missing;
	const char *name = json_string_value(json_object_get(result, "name"));
	struct pgvisit v;
	size_t known = 0;
	cow_errno r =
	    migrations_expected(command_option(call, "migrations"), STDIN_FILENO, &expected, e);

	if (r < 0)
		return r;
	r = pgvisit_begin(call, name, &v);
	if (r == 0)
		r = pgvisit_end(call, &v,
				pgvisit_as_owner(&v.branch, read_applied,
						 (void *)command_option(call, "migrations-table"),
						 &found, &call->error));
	if (r < 0)
		*e = call->error;
	if (r == 0 && tool_of(found)) {
		missing = migrations_missing(tool_of(found), json_object_get(found, "applied"),
					     expected, &known);
		json_object_set_new(found, "expected", json_integer((json_int_t)known));
		json_object_set_new(
		    found, "applied",
		    json_integer((json_int_t)json_array_size(json_object_get(found, "applied"))));
		json_object_set_new(found, "missing", missing);
		json_object_set(result, "migrations", found);
		say(name, found);
	} else if (r == 0) {
		r = cow_fail(e, -ENOENT, "%s has no table of migrations that is known", name);
		cow_hint(e, r, "Name it with --migrations-table.");
	}
	json_decref(found);
	json_decref(expected);
	return r;
}

void branch_migrations(struct command_call *call, json_t *result)
{
	struct cow_error why = COW_ERROR_INIT;

	if (!command_option(call, "migrations"))
		return;
	json_object_set_new(result, "migrations", json_null());
	if (judge(call, result, &why) < 0)
		fprintf(stderr, "cowfs: warning: migrations were not compared: %s%s%s\n", why.text,
			why.hint[0] ? "\nhint: " : "", why.hint);
}

/* A folder is of this side; anything else is said as it is. */
static bool is_folder(const char *path)
{
	struct stat st;

	return path && strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int branch_create_remote(struct command_call *call)
{
	const char *path = command_option(call, "migrations");
	const char *seed = command_option(call, "seed");
	CLEANUP_FD int in = -1;
	json_t *list = NULL;
	const json_t *line;
	size_t k;
	cow_errno r;

	if (!is_folder(path)) {
		if (!seed || strcmp(seed, "-") == 0)
			return remote_run(call);
		in = open(seed, O_RDONLY | O_CLOEXEC);
		if (in < 0)
			return cow_fail(&call->error, -errno, "cannot read %s: %s", seed,
					strerror(errno));
		return remote_run_feeding(call, "seed", "seed", in);
	}
	if (seed)
		return command_usage(call, "a folder of --migrations and --seed cannot both be "
					   "sent to another host");
	in = process_memory("migrations");
	r = in < 0 ? cow_fail(&call->error, -errno, "no memory for a list")
		   : migrations_expected(path, -1, &list, &call->error);
	json_array_foreach (list, k, line)
		dprintf(in, "%s\n", json_string_value(line));
	json_decref(list);
	if (r == 0 && lseek(in, 0, SEEK_SET) < 0)
		r = cow_fail(&call->error, -errno, "cannot read a list");
	return r < 0 ? r : remote_run_feeding(call, "migrations", "migrations", in);
}
