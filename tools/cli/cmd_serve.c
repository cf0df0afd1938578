// SPDX-License-Identifier: Apache-2.0
/* cowfs serve: the proxy and the life of servers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/log.h"
#include "tools/cli/commands.h"
#include "tools/cli/parse.h"
#include "tools/daemon/config.h"
#include "tools/serve/serve.h"

/* Only in the whole executable (whole.h). */
#pragma weak serve_run

/* The command line, else section [serve] of the store's configuration, where it is written with
 * underscores. */
struct request {
	struct command_call *call;
	struct config *config;
};

static const char *setting(const struct request *q, const char *option)
{
	const char *value = command_option(q->call, option);
	char key[64];

	if (value)
		return value;
	snprintf(key, sizeof(key), "%s", option);
	for (char *c = key; *c; c++)
		*c = *c == '-' ? '_' : *c;
	return config_get(q->config, "serve", key);
}

/* A time that may be "never"; *ret keeps its value when nobody said anything. */
static cow_errno time_or_never(struct request *q, const char *name, uint64_t *ret)
{
	const char *text = setting(q, name);
	cow_errno r;

	if (!text)
		return 0;
	if (strcmp(text, "never") == 0) {
		*ret = 0;
		return 0;
	}
	r = parse_duration(text, ret, &q->call->error);
	return r < 0 ? cow_wrap(&q->call->error, r, "%s", name) : 0;
}

static cow_errno number(struct request *q, const char *name, uint64_t low, uint64_t high,
			unsigned *ret)
{
	const char *text = setting(q, name);
	uint64_t n = *ret;
	cow_errno r = text ? parse_number(text, low, high, &n, &q->call->error) : 0;

	*ret = (unsigned)n;
	return r < 0 ? cow_wrap(&q->call->error, r, "%s", name) : 0;
}

/* On the command line a flag; "yes" or "no" in the configuration. */
static cow_errno flag(struct request *q, const char *name, bool *ret)
{
	const char *text = setting(q, name);

	if (!text)
		return 0;
	if (*text && strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
		return command_usage(q->call, "%s takes yes or no, not '%s'", name, text);
	*ret = strcmp(text, "no") != 0;
	return 0;
}

static cow_errno read_times(struct request *q, struct serve_options *o)
{
	cow_errno r = time_or_never(q, "suspend-timeout", &o->suspend_ms);

	if (r == 0)
		r = time_or_never(q, "sweep-interval", &o->sweep_ms);
	if (r == 0)
		r = time_or_never(q, "wait", &o->wait_ms);
	if (r == 0 && (!o->sweep_ms || !o->wait_ms))
		r = command_usage(q->call, "--sweep-interval and --wait take a time");
	return r;
}

static cow_errno read_numbers(struct request *q, struct serve_options *o)
{
	unsigned port = 0;
	cow_errno r = number(q, "port", 0, 65535, &port);

	o->port = (int)port;
	if (r == 0)
		r = number(q, "max-running", 0, 100000, &o->max_running);
	if (r == 0)
		r = number(q, "max-connections", 0, 100000, &o->max_connections);
	if (r == 0)
		r = number(q, "max-starts", 1, 1000, &o->max_starts);
	if (r == 0)
		r = number(q, "sweep-max", 0, 100000, &o->sweep_max);
	return r;
}

static cow_errno read_options(struct request *q, struct serve_options *o)
{
	const char *level = setting(q, "log-level");
	enum cow_log_level parsed = COW_LOG_INFO;
	cow_errno r = read_times(q, o);

	if (r == 0)
		r = read_numbers(q, o);
	if (r == 0)
		r = flag(q, "leave-running", &o->leave_running);
	if (r == 0)
		r = flag(q, "suspend-idle-sessions", &o->suspend_sessions);
	if (r == 0)
		r = flag(q, "always-relay", &o->always_relay);
	if (r < 0)
		return r;
	o->cert = setting(q, "tls-cert");
	o->key = setting(q, "tls-key");
	if (setting(q, "listen"))
		o->listen = setting(q, "listen");
	if (!o->cert != !o->key)
		return command_usage(q->call, "--tls-cert and --tls-key belong together");
	if (level && cow_log_parse_level(level, &parsed) < 0)
		return command_usage(q->call, "--log-level takes error, warn, info or debug");
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
	struct request q = {.call = call};
	cow_errno r = command_store(call, &o.store);

	if (r == 0)
		r = config_load(o.store, &q.config, &call->error);
	if (r == 0)
		r = read_options(&q, &o);
	if (r == 0)
		r = serve_run(&o, &call->error);
	config_free(q.config);
	return r;
}

static const struct command_option options[] = {
    {"listen", 'l', "ADDRESS", "for clients (default: 127.0.0.1)"},
    {"port", 'p', "PORT", "one port for all branches besides those of each (default: none)"},
    {"tls-cert", 0, "FILE", "certificate (PEM): clients may use TLS, and name the branch by host"},
    {"tls-key", 0, "FILE", "its private key (PEM)"},
    {"suspend-timeout", 0, "TIME", "without clients for so long: sleep; or never (default: 5m)"},
    {"suspend-idle-sessions", 0, NULL,
     "sleep also under clients that ran nothing for so long; an open transaction is something"},
    {"max-running", 0, "N", "most servers at once; the longest idle makes room (default: any)"},
    {"max-connections", 0, "N", "most clients of one branch (default: any)"},
    {"max-starts", 0, "N", "most servers that start at the same time (default: 4)"},
    {"wait", 0, "TIME", "how long a client may wait for its server (default: 2m)"},
    {"sweep-interval", 0, "TIME", "time for which --sweep-max counts (default: 10s)"},
    {"sweep-max", 0, "N", "most expired branches deleted within that time (default: 10)"},
    {"leave-running", 0, NULL, "servers go on when serve ends"},
    {"always-relay", 0, NULL, "no client goes past the proxy to a server that runs"},
    {"log-level", 0, "L", "error, warn, info or debug (default: info)"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_serve = {
    .name = "serve",
    .summary = "serve all branches: wake on connect, sleep when idle, expire",
    .usage = "[--port PORT] [--suspend-timeout TIME] [--max-running N]",
    .detail =
	"Runs beside the daemon of the mount, in the foreground. Every branch keeps the address "
	"that\n"
	"`cowfs url` prints; a client that connects is held until its server runs. On the shared\n"
	"port a client names its branch by options=--cowfs.branch=NAME, by USER@NAME, or with TLS "
	"by\n"
	"the host name BRANCH.anything (slashes as dashes). pg_isready wakes nothing.\nAll options "
	"may "
	"stand in STORE/cowfs.conf, section [serve], with underscores: suspend_timeout = 10m.",
    .example = "cowfs serve --store /var/lib/cowfs --port 5432 --suspend-timeout 10m",
    .options = options,
    .whole = true,
    .run = run_serve,
};
