// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/branch_settings.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "tools/cli/parse.h"

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int read_expiry(struct command_call *call, json_t *set)
{
	const char *ttl = command_option(call, "ttl"), *at = command_option(call, "expires-at");
	char text[PARSE_TIME_SIZE];
	uint64_t ms = 0;
	int64_t ns;
	int r;

	if (!ttl && !at)
		return 0;
	if (ttl && at)
		return command_usage(call, "--ttl and --expires-at exclude each other");
	if (at && strcmp(at, "never") == 0) {
		json_object_set_new(set, "expires_at", json_null());
		json_object_set_new(set, "ttl_ms", json_null());
		return 0;
	}
	r = ttl ? parse_duration(ttl, &ms, &call->error) : parse_time(at, &ns, &call->error);
	if (r < 0)
		return r;
	if (ttl && (ms == 0 || ms > INT64_MAX / 1000000 / 2))
		return command_usage(call, "--ttl takes a time, not '%s'", ttl);
	if (ttl)
		ns = now_ns() + (int64_t)ms * 1000000;
	parse_time_format(ns, text, sizeof(text));
	json_object_set_new(set, "expires_at", json_string(text));
	json_object_set_new(set, "ttl_ms", ttl ? json_integer((json_int_t)ms) : json_null());
	return 0;
}

static int read_protected(struct command_call *call, json_t *set)
{
	const char *text = command_option(call, "protected");

	if (!text)
		return 0;
	if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
		return command_usage(call, "--protected takes yes or no, not '%s'", text);
	json_object_set_new(set, "protected", strcmp(text, "yes") == 0 ? json_true() : json_null());
	return 0;
}

static int read_suspend(struct command_call *call, json_t *set)
{
	const char *text = command_option(call, "suspend-timeout");
	uint64_t ms = 0;
	int r = 0;

	if (!text)
		return 0;
	if (strcmp(text, "default") == 0) {
		json_object_set_new(set, "suspend_timeout_ms", json_null());
		return 0;
	}
	if (strcmp(text, "never") != 0)
		r = parse_duration(text, &ms, &call->error);
	if (r == 0)
		json_object_set_new(set, "suspend_timeout_ms", json_integer((json_int_t)ms));
	return r;
}

static int read_clients(struct command_call *call, json_t *set)
{
	const char *text = command_option(call, "max-connections");
	uint64_t n = 0;
	int r;

	if (!text)
		return 0;
	if (strcmp(text, "default") == 0) {
		json_object_set_new(set, "max_connections", json_null());
		return 0;
	}
	r = parse_number(text, 1, 100000, &n, &call->error);
	if (r == 0)
		json_object_set_new(set, "max_connections", json_integer((json_int_t)n));
	return r;
}

int branch_settings_read(struct command_call *call, json_t *set)
{
	int r = read_expiry(call, set);

	if (r == 0)
		r = read_protected(call, set);
	if (r == 0)
		r = read_suspend(call, set);
	if (r == 0)
		r = read_clients(call, set);
	return r;
}
