// SPDX-License-Identifier: Apache-2.0
/* cowfs start, cowfs stop: stock postgres on a branch. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/cli/commands.h"
#include "tools/cli/parse.h"
#include "tools/daemon/history.h"
#include "tools/pg/pgbranch.h"
#include "tools/remote/remote.h"
#include "tools/serve/client.h"

static const struct output_column columns[] = {
    {"branch", "Branch", OUTPUT_TEXT, "COWFS_BRANCH"},
    {"current_state", "State", OUTPUT_TEXT, NULL},
    {"ephemeral", "Ephemeral", OUTPUT_BOOL, NULL},
    {"connection_uri", "URL", OUTPUT_TEXT, "DATABASE_URL"},
    {"pid", "Process", OUTPUT_NUMBER, NULL},
    {"socket_dir", "Sockets", OUTPUT_TEXT, NULL},
    {"log", "Log", OUTPUT_TEXT, NULL},
    {"start_ms", "Started in ms", OUTPUT_NUMBER, NULL},
    {NULL, NULL, 0, NULL},
};
static const struct output_spec spec = {.columns = columns};

/* Prints and frees. */
static int print(struct command_call *call, json_t *result)
{
	cow_errno r = result ? output_print(&call->out, result, &spec) : -ENOMEM;

	json_decref(result);
	return r < 0 ? cow_fail(&call->error, r, "cannot print: %s", strerror(-r)) : 0;
}

static cow_errno timeout_of(struct command_call *call, uint64_t without, unsigned *ret)
{
	const char *text = command_option(call, "timeout");
	cow_errno r = text ? parse_duration(text, &without, &call->error) : 0;

	if (r == 0 && without > INT32_MAX)
		r = cow_fail(&call->error, -EINVAL, "a time-out of %s is too long", text);
	*ret = (unsigned)without;
	return r;
}

/* --- start --- */

static cow_errno extra_settings(struct command_call *call, struct cow_pgconf_list *ret)
{
	const char *text;
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && (text = command_option_nth(call, "set", k)); k++) {
		const char *equals = strchr(text, '=');
		CLEANUP_FREE char *name = equals ? strndup(text, (size_t)(equals - text)) : NULL;

		if (!equals || equals == text)
			return command_usage(call, "-c takes NAME=VALUE, not '%s'", text);
		r = name ? cow_pgconf_list_set(ret, name, equals + 1) : -ENOMEM;
		if (r < 0)
			cow_fail(&call->error, r, "no memory for settings");
	}
	return r;
}

/* Writes of a branch wait for room on a full disk while its server is wanted. */
static cow_errno wait_for_room(struct command_call *call, const char *name, bool wait)
{
	return command_ask(call, "server.room", json_pack("{s:s,s:b}", "name", name, "wait", wait),
			   NULL);
}

static cow_errno start_stopped(struct command_call *call, struct pgbranch *b, unsigned timeout_ms)
{
	struct cow_pgconf_list extra = {0};
	cow_errno r = extra_settings(call, &extra);

	if (r == 0)
		r = pgbranch_recover(call, b);
	if (r == 0)
		r = wait_for_room(call, b->name, true);
	if (r == 0)
		r = pgbranch_find_programs(b, command_option(call, "bindir"), &call->error);
	if (r == 0)
		r = pgbranch_await_quiet(call, b);
	if (r == 0)
		r = pgbranch_start(b, &extra, timeout_ms, &call->error);
	cow_pgconf_list_release(&extra);
	if (r == 0 && b->unlimited[0])
		fprintf(stderr, "note: %s runs without its limits: %s\n", b->name, b->unlimited);
	return r;
}

/* With a proxy it is the one who starts servers. */
static int start_served(struct command_call *call, struct pgbranch *b, unsigned timeout_ms)
{
	struct cow_pgconf_list extra = {0};
	json_t *settings = json_object(), *answer = NULL;
	cow_errno r = extra_settings(call, &extra);

	if (r == 0 && command_option(call, "bindir"))
		r = command_usage(call, "--bindir cannot be used while cowfs serve runs");
	for (size_t k = 0; r == 0 && k < extra.n; k++)
		json_object_set_new(settings, extra.items[k].name,
				    json_string(extra.items[k].value));
	cow_pgconf_list_release(&extra);
	if (r == 0) {
		/* The branch may be younger than what serve knows. */
		serve_nudge(call->store);
		r = serve_call_within(call->store, "wake",
				      json_pack("{s:s,s:O}", "name", b->name, "settings", settings),
				      timeout_ms, &answer, &call->error);
	}
	json_decref(settings);
	json_decref(answer);
	return r < 0 ? r : pgbranch_find(call, b->name, (struct pgbranch_port){0}, b);
}

static int run_start(struct command_call *call)
{
	const char *port_text = command_option(call, "port");
	struct pgbranch_port port = {.choose = true};
	struct timespec t0, t1;
	struct pgbranch b;
	uint64_t wanted = 0;
	unsigned timeout_ms;
	json_t *result;
	bool was_running, served = false;
	char why[64];
	long start_ms;
	cow_errno r = timeout_of(call, 300000, &timeout_ms);

	clock_gettime(CLOCK_MONOTONIC, &t0);
	if (r == 0 && port_text)
		r = parse_number(port_text, 1, 65535, &wanted, &call->error);
	/* A server that runs keeps its port: asking for another one must not be forgotten silently.
	 */
	if (r == 0 && wanted) {
		port.choose = false;
		r = pgbranch_find(call, call->argv[0], port, &b);
		if (r == 0 && b.state.running && b.port != (int)wanted) {
			cow_fail(&call->error, -EBUSY, "%s runs on port %d", b.name, b.port);
			r = cow_hint(&call->error, -EBUSY, "Stop it first: cowfs stop %s", b.name);
		}
		port.choose = true;
	}
	port.wanted = (int)wanted;
	if (r == 0)
		r = pgbranch_find(call, call->argv[0], port, &b);
	if (r < 0)
		return r;
	was_running = b.state.running;
	served = serve_runs(call->store);
	if (!was_running)
		r = served ? start_served(call, &b, timeout_ms)
			   : start_stopped(call, &b, timeout_ms);
	else if (call->out.format == OUTPUT_TABLE)
		fprintf(stderr, "%s is running already\n", b.name);
	if (r < 0)
		return r;
	clock_gettime(CLOCK_MONOTONIC, &t1);
	start_ms = (t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000;
	result = pgbranch_json(&b, NULL, NULL);
	json_object_set_new(result, "was_running", json_boolean(was_running));
	if (!was_running)
		json_object_set_new(result, "start_ms", json_integer(start_ms));
	if (!was_running && !served) {
		snprintf(why, sizeof(why), "%ld ms: by hand", start_ms);
		history_add(call->store, b.id, "started", why);
	}
	return print(call, result);
}

static int run_start_remote(struct command_call *call)
{
	json_t *result = NULL;
	int r = remote_address(call, NULL, &result);

	return r == 0 ? print(call, result) : r;
}

static const struct command_option start_options[] = {
    {"set", 'c', "NAME=VALUE", "a setting of the server, for this start; may be repeated"},
    {"port", 'p', "PORT", "listen there, now and from now on (default: a free one, kept)"},
    {"bindir", 0, "DIR", "directory of the postgres program (default: found by version)"},
    {"timeout", 0, "TIME", "how long to wait until it takes connections (default: 5m)"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_start = {
    .name = "start",
    .summary = "start postgres on a branch and print its URL",
    .usage = "[BRANCH] [-c NAME=VALUE]... [--port PORT]",
    .detail =
	"The server is the stock postgres of this machine, of the version of the data. It runs as "
	"the\nowner of the data and listens on 127.0.0.1 and on a socket of its own. Settings that "
	"would reach\nout of the branch are overridden: archiving, replication, subscriptions, "
	"paths. Starting a\nrunning branch changes nothing.",
    .example = "cowfs start feature/add-orgs -c work_mem=64MB",
    .options = start_options,
    .max_args = 1,
    .operands = "branch",
    .pins = true,
    .run = run_start,
    .run_remote = run_start_remote,
};

/* --- stop --- */

static cow_errno mode_of(struct command_call *call, enum pgserver_mode *ret)
{
	static const char *const words[] = {"smart", "fast", "immediate"};
	const char *text = command_option(call, "mode");

	*ret = PGSERVER_FAST;
	if (!text)
		return 0;
	for (size_t k = 0; k < 3; k++) {
		if (strcmp(text, words[k]) == 0) {
			*ret = (enum pgserver_mode)k;
			return 0;
		}
	}
	return command_usage(call, "-m takes smart, fast or immediate, not '%s'", text);
}

/* A proxy has to know that it was meant: otherwise the next client starts the server again. */
static cow_errno stop(struct command_call *call, struct pgbranch *b, enum pgserver_mode mode,
		      unsigned timeout_ms, bool *ret_was)
{
	bool served = serve_runs(call->store);
	cow_errno r;

	*ret_was = b->state.running;
	if (served && mode == PGSERVER_FAST)
		return serve_call_within(call->store, "stop", json_pack("{s:s}", "name", b->name),
					 timeout_ms, NULL, &call->error);
	r = pgserver_stop(b->pgdata, mode, timeout_ms, ret_was, &call->error);
	if (r == 0 && *ret_was)
		history_add(call->store, b->id, "stopped",
			    mode == PGSERVER_IMMEDIATE ? "by hand, without a checkpoint"
						       : "by hand");
	if (r == 0 && served)
		r = serve_call(call->store, "stop", json_pack("{s:s}", "name", b->name), NULL,
			       &call->error);
	return r;
}

static int run_stop(struct command_call *call)
{
	struct pgbranch b;
	enum pgserver_mode mode;
	char sockets[sizeof(b.socket_dir)];
	unsigned timeout_ms;
	bool was;
	json_t *result;
	cow_errno r = mode_of(call, &mode);

	if (r == 0)
		r = timeout_of(call, 60000, &timeout_ms);
	if (r == 0)
		r = pgbranch_find(call, call->argv[0], (struct pgbranch_port){0}, &b);
	/* Or a server that waits for room would never end. */
	if (r == 0 && mode == PGSERVER_IMMEDIATE)
		r = wait_for_room(call, b.name, false);
	if (r == 0)
		r = stop(call, &b, mode, timeout_ms, &was);
	if (r < 0)
		return r;
	if (!was && call->out.format == OUTPUT_TABLE)
		fprintf(stderr, "%s was not running\n", b.name);
	snprintf(sockets, sizeof(sockets), "%s", b.socket_dir);
	/* Each goes when it is empty, and nothing depends on it. */
	if (rmdir(sockets) == 0) {
		*strrchr(sockets, '/') = '\0';
		rmdir(sockets);
	}
	b.state = (struct pgstate){0};
	result = pgbranch_json(&b, NULL, NULL);
	json_object_set_new(result, "was_running", json_boolean(was));
	return print(call, result);
}

static const struct command_option stop_options[] = {
    {"mode", 'm', "MODE",
     "smart: wait for clients; fast: end them (default); immediate: no checkpoint"},
    {"timeout", 0, "TIME", "how long to wait until it is gone (default: 1m)"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_stop = {
    .name = "stop",
    .summary = "stop the postgres of a branch",
    .usage = "[BRANCH] [-m smart|fast|immediate]",
    .example = "cowfs stop feature/add-orgs",
    .options = stop_options,
    .max_args = 1,
    .operands = "branch",
    .pins = true,
    .run = run_stop,
};
