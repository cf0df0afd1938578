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
#include "tools/cli/parse.h"
#include "tools/pg/pgbranch.h"
#include "tools/remote/remote.h"
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

/* Under both of its names. */
static const char *role_of(const struct command_call *call)
{
	const char *role = command_option(call, "role");

	return role ? role : command_option(call, "user");
}

static const char *database_of(const struct command_call *call)
{
	const char *database = command_option(call, "database");

	return database ? database : command_option(call, "dbname");
}

/* Some drivers give up after 5 s, before a large branch has recovered. */
#define WAKE_TIMEOUT_S 30

/* Behind a proxy a connection may have to wait for the server. URIs have it only when asked for:
 * some drivers pass on what they do not know to the server, which refuses it. */
static cow_errno connect_timeout(struct command_call *call, enum pgurl_format format, unsigned *ret)
{
	const char *text = command_option(call, "connect-timeout");
	uint64_t seconds = 0;
	cow_errno r = text ? parse_number(text, 0, 86400, &seconds, &call->error) : 0;

	if (!text && format != PGURL_URI && serve_runs(call->store))
		seconds = WAKE_TIMEOUT_S;
	*ret = (unsigned)seconds;
	return r;
}

/* The text alone: it is made to be pasted and piped. */
static cow_errno print_format(struct command_call *call, const struct pgbranch *b,
			      enum pgurl_format format)
{
	struct pgurl u = pgbranch_address(b, role_of(call), database_of(call));
	CLEANUP_FREE char *text = NULL;
	cow_errno r = connect_timeout(call, format, &u.connect_timeout);

	if (command_option(call, "socket"))
		u.host = b->socket_dir;
	if (r == 0)
		r = pgurl_print(&u, format, &text, &call->error);
	if (r == 0)
		fprintf(call->out.out, "%s%s", text, text[strlen(text) - 1] == '\n' ? "" : "\n");
	return r;
}

static cow_errno find_addressed(struct command_call *call, struct pgbranch *b)
{
	cow_errno r = pgbranch_find(call, call->argv[0], (struct pgbranch_port){0}, b);

	/* Behind a proxy every branch has an address, and it may be used at once. */
	if (r == 0 && b->port == 0 && serve_runs(call->store)) {
		serve_nudge(call->store);
		r = pgbranch_find(call, call->argv[0], (struct pgbranch_port){0}, b);
	}
	if (r == 0 && b->port == 0) {
		cow_fail(&call->error, -ENOENT, "%s has no address: it was never started", b->name);
		r = cow_hint(&call->error, -ENOENT, "Start it: cowfs start %s", b->name);
	}
	return r;
}

static int run_url(struct command_call *call)
{
	const char *word = command_option(call, "format");
	enum pgurl_format format = PGURL_URI;
	struct pgbranch b;
	json_t *result;
	cow_errno r;

	if (word && pgurl_parse_format(word, &format) < 0)
		return command_usage(call, "--format takes " PGURL_FORMATS ", not '%s'", word);
	if (word && call->out.format != OUTPUT_TABLE)
		return command_usage(call, "--format and -o exclude each other");
	if (command_option(call, "tunnel"))
		return command_usage(call, "--tunnel needs --host");
	r = find_addressed(call, &b);
	if (r < 0)
		return r;
	if (!b.state.running && call->out.format == OUTPUT_TABLE && !serve_runs(call->store))
		fprintf(stderr, "%s is not running; start it with: cowfs start %s\n", b.name,
			b.name);
	if (call->out.format == OUTPUT_TABLE)
		return print_format(call, &b, format);
	result = pgbranch_json(&b, role_of(call), database_of(call));
	r = output_print(&call->out, result, &spec);
	json_decref(result);
	return r < 0 ? cow_fail(&call->error, r, "cannot print: %s", strerror(-r)) : 0;
}

/* --- url on another machine --- */

/* How long a tunnel stays that was asked for. */
static cow_errno tunnel_seconds(struct command_call *call, unsigned *ret)
{
	uint64_t ms = 0;
	cow_errno r = parse_duration(command_option(call, "tunnel"), &ms, &call->error);

	if (r == 0 && (ms < 1000 || ms > UINT64_C(7) * 86400 * 1000))
		r = command_usage(call, "--tunnel takes a time from 1s to 7d");
	*ret = (unsigned)(ms / 1000);
	return r;
}

/* `format` NULL = not asked for. */
static cow_errno check_remote(struct command_call *call, const char *word,
			      enum pgurl_format *format, unsigned *timeout)
{
	const char *seconds = command_option(call, "connect-timeout");
	uint64_t n = 0;
	cow_errno r = 0;

	if (command_option(call, "socket")) {
		command_usage(call, "--socket names a directory of that machine");
		return cow_hint(&call->error, -EINVAL,
				"Its TCP address is without --socket; through ssh alone: --tunnel "
				"TIME");
	}
	if (word && pgurl_parse_format(word, format) < 0)
		return command_usage(call, "--format takes " PGURL_FORMATS ", not '%s'", word);
	if (word && call->out.format != OUTPUT_TABLE)
		return command_usage(call, "--format and -o exclude each other");
	if (seconds)
		r = parse_number(seconds, 0, 86400, &n, &call->error);
	*timeout = (unsigned)n;
	return r;
}

/* The address of `result` as it is seen from here. */
static cow_errno print_remote(struct command_call *call, const json_t *result,
			      enum pgurl_format format, unsigned timeout)
{
	const char *host = json_string_value(json_object_get(result, "host"));
	const char *user = json_string_value(json_object_get(result, "user"));
	const char *database = json_string_value(json_object_get(result, "database"));
	const char *branch = json_string_value(json_object_get(result, "branch"));
	const struct pgurl u = {
	    .name = branch ? branch : call->argv[0],
	    .host = host ? host : "",
	    .port = (int)json_integer_value(json_object_get(result, "port")),
	    .user = user ? user : "",
	    .dbname = database ? database : "",
	    .connect_timeout = timeout,
	};
	CLEANUP_FREE char *text = NULL;
	cow_errno r = pgurl_print(&u, format, &text, &call->error);

	if (r == 0)
		fprintf(call->out.out, "%s%s", text, text[strlen(text) - 1] == '\n' ? "" : "\n");
	return r;
}

static int run_url_remote(struct command_call *call)
{
	static const char *const here[] = {"tunnel", "format", "connect-timeout", NULL};
	enum pgurl_format format = PGURL_URI;
	json_t *result = NULL;
	unsigned seconds = 0, timeout = 0;
	bool tunnel = command_option(call, "tunnel");
	int r = check_remote(call, command_option(call, "format"), &format, &timeout), port = 0;

	if (r == 0 && tunnel)
		r = tunnel_seconds(call, &seconds);
	if (r == 0)
		r = remote_address(call, here, &result);
	if (r == 0 && tunnel)
		r = remote_tunnel_leave(
		    call, (int)json_integer_value(json_object_get(result, "port")), seconds, &port);
	if (r == 0 && tunnel)
		remote_address_set(result, "127.0.0.1", port);
	if (r == 0 && call->out.format == OUTPUT_TABLE)
		r = print_remote(call, result, format, timeout);
	else if (r == 0 && (r = output_print(&call->out, result, &spec)) < 0)
		cow_fail(&call->error, r, "cannot print: %s", strerror(-r));
	json_decref(result);
	return r;
}

#define ADDRESS_OPTIONS                                                                            \
	{"user", 'U', "USER", "role to connect as (default: the name of the owner of the data)"},  \
	    {"role", 0, "USER", "the same as --user"},                                             \
	    {"dbname", 'd', "NAME", "database (default: postgres)"},                               \
	{                                                                                          \
		"database", 0, "NAME", "the same as --dbname"                                      \
	}

static const struct command_option url_options[] = {
    {"format", 'f', PGURL_FORMATS, "how it is written (default: uri)"},
    ADDRESS_OPTIONS,
    {"socket", 0, NULL, "the directory of its sockets instead of its TCP address"},
    {"connect-timeout", 0, "SECONDS", "how long a client waits (default: 30 behind cowfs serve)"},
    {"tunnel", 0, "TIME", "with --host: an address here, that leads there for so long"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_url = {
    .name = "url",
    .aliases = "uri connection-string",
    .summary = "print the connection string of a branch",
    .usage = "[BRANCH] [--format FORMAT] [--user USER] [--dbname NAME]",
    .detail =
	"It stays the same over stop and start, reset and restore. dotenv is for a .env file, "
	"service "
	"for\npg_service.conf (psql service=BRANCH), dsn for libpq. A URI has a time-out only with "
	"--connect-timeout,\nbecause not every driver knows it there. With -o env: DATABASE_URL, "
	"PGHOST, PGPORT, PGUSER and\nPGDATABASE. With --host it has the name of the server, "
	"which has to listen there (cowfs serve\n--listen); --tunnel needs nothing but ssh.",
    .example = "cowfs url feature/add-orgs\n"
	       "cowfs url feature/add-orgs --format jdbc --dbname shop\n"
	       "cowfs url feature/add-orgs --format service >> ~/.pg_service.conf",
    .options = url_options,
    .max_args = 1,
    .operands = "branch",
    .pins = true,
    .run = run_url,
    .run_remote = run_url_remote,
};

/* --- psql --- */

/* Become psql. Over the socket and as the owner of the data, so that peer authentication lets us
 * in. */
static cow_errno become_psql(struct command_call *call, const struct pgbranch *b)
{
	const char *user = role_of(call), *dbname = database_of(call);
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
    .usage = "[BRANCH] [-d NAME] [-- ARGUMENTS OF PSQL]",
    .detail = "Connects over the socket of the branch, as the owner of the data. The exit status "
	      "is psql's.",
    .example = "cowfs psql feature/add-orgs -- -c 'select count(*) from orders'",
    .options = psql_options,
    .max_args = 1,
    .takes_tail = true,
    .operands = "branch",
    .pins = true,
    .run = run_psql,
};
