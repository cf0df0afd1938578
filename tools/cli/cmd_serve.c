// SPDX-License-Identifier: Apache-2.0
/* cowfs serve: the proxy and the life of servers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/log.h"
#include "tools/cli/commands.h"
#include "tools/cli/parse.h"
#include "tools/serve/serve.h"

/* A time that may be "never"; *ret keeps its value when the option was not given. */
static cow_errno time_or_never(struct command_call *call, const char *name, uint64_t *ret)
{
	const char *text = command_option(call, name);

	if (!text)
		return 0;
	if (strcmp(text, "never") == 0) {
		*ret = 0;
		return 0;
	}
	return parse_duration(text, ret, &call->error);
}

static cow_errno number(struct command_call *call, const char *name, uint64_t high, unsigned *ret)
{
	const char *text = command_option(call, name);
	uint64_t n = *ret;
	cow_errno r = text ? parse_number(text, 0, high, &n, &call->error) : 0;

	*ret = (unsigned)n;
	return r;
}

static cow_errno read_options(struct command_call *call, struct serve_options *o)
{
	const char *level = command_option(call, "log-level");
	enum cow_log_level parsed = COW_LOG_INFO;
	unsigned port = 0;
	cow_errno r = time_or_never(call, "suspend-timeout", &o->suspend_ms);

	if (r == 0)
		r = time_or_never(call, "sweep-interval", &o->sweep_ms);
	if (r == 0)
		r = time_or_never(call, "wait", &o->wait_ms);
	if (r == 0)
		r = number(call, "port", 65535, &port);
	if (r == 0)
		r = number(call, "max-running", 100000, &o->max_running);
	if (r == 0)
		r = number(call, "max-connections", 100000, &o->max_connections);
	if (r == 0)
		r = number(call, "sweep-max", 100000, &o->sweep_max);
	if (r < 0)
		return r;
	o->port = (int)port;
	o->cert = command_option(call, "tls-cert");
	o->key = command_option(call, "tls-key");
	o->leave_running = command_option(call, "leave-running");
	if (command_option(call, "listen"))
		o->listen = command_option(call, "listen");
	if (!o->cert != !o->key)
		return command_usage(call, "--tls-cert and --tls-key belong together");
	if (!o->sweep_ms || !o->wait_ms)
		return command_usage(call, "--sweep-interval and --wait take a time");
	if (level && cow_log_parse_level(level, &parsed) < 0)
		return command_usage(call, "--log-level takes error, warn, info or debug");
	cow_log_set_level(parsed);
	return 0;
}

static int run_serve(struct command_call *call)
{
	struct serve_options o = {
	    .listen = "127.0.0.1",
	    .suspend_ms = 300000,
	    .max_starts = 4,
	    .sweep_max = 10,
	    .sweep_ms = 10000,
	    .wait_ms = 120000,
	    .greet_ms = 30000,
	    .start_ms = 300000,
	};
	cow_errno r = command_store(call, &o.store);

	if (r == 0)
		r = read_options(call, &o);
	return r < 0 ? r : serve_run(&o, &call->error);
}

static const struct command_option options[] = {
    {"listen", 'l', "ADDRESS", "for clients (default: 127.0.0.1)"},
    {"port", 'p', "PORT", "one port for all branches besides those of each (default: none)"},
    {"tls-cert", 0, "FILE", "certificate (PEM): clients may use TLS, and name the branch by host"},
    {"tls-key", 0, "FILE", "its private key (PEM)"},
    {"suspend-timeout", 0, "TIME", "without clients for so long: sleep; or never (default: 5m)"},
    {"max-running", 0, "N", "most servers at once; the longest idle makes room (default: any)"},
    {"max-connections", 0, "N", "most clients of one branch at once (default: any)"},
    {"wait", 0, "TIME", "how long a client may wait for its server (default: 2m)"},
    {"sweep-interval", 0, "TIME", "from one look for expired branches to the next (default: 10s)"},
    {"sweep-max", 0, "N", "most branches deleted in one look (default: 10)"},
    {"leave-running", 0, NULL, "servers go on when serve ends"},
    {"log-level", 0, "L", "error, warn, info or debug (default: info)"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_serve = {
    .name = "serve",
    .summary = "answer for every branch: start on connect, sleep when idle, delete what expired",
    .usage = "[--port PORT] [--suspend-timeout TIME] [--max-running N]",
    .detail =
	"Runs beside the daemon of the mount, in the foreground. Every branch keeps the address "
	"that\n"
	"`cowfs url` prints; a client that connects is held until its server runs. On the shared\n"
	"port a client names its branch by options=--cowfs.branch=NAME, by USER@NAME, or with TLS "
	"by\n"
	"the host name BRANCH.anything (slashes as dashes). pg_isready wakes nothing.",
    .example = "cowfs serve --store /var/lib/cowfs --port 5432 --suspend-timeout 10m",
    .options = options,
    .run = run_serve,
};
