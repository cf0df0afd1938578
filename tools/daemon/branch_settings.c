// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/branch_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/cleanup.h"
#include "tools/cli/parse.h"
#include "tools/pg/pgbranch.h"
#include "tools/pg/pgprofile.h"

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

static int read_quota(struct command_call *call, json_t *set)
{
	const char *text = command_option(call, "quota");
	uint64_t bytes = 0;
	int r = 0;

	if (!text)
		return 0;
	if (strcmp(text, "none") != 0 && (r = parse_size(text, &bytes, &call->error)) < 0)
		return r;
	if (strcmp(text, "none") != 0 && (bytes == 0 || bytes > INT64_MAX))
		return command_usage(call, "--quota takes a size or none, not '%s'", text);
	json_object_set_new(set, "quota_bytes",
			    bytes ? json_integer((json_int_t)bytes) : json_null());
	return 0;
}

static int read_sessions(struct command_call *call, json_t *set)
{
	const char *text = command_option(call, "suspend-idle-sessions");
	json_t *value = json_null();

	if (!text)
		return 0;
	if (strcmp(text, "yes") == 0 || strcmp(text, "no") == 0)
		value = json_boolean(text[0] == 'y');
	else if (strcmp(text, "default") != 0)
		return command_usage(
		    call, "--suspend-idle-sessions takes yes, no or default, not '%s'", text);
	json_object_set_new(set, "suspend_idle_sessions", value);
	return 0;
}

/* --- of its server --- */

static int read_postgres(struct command_call *call, json_t *set)
{
	json_t *postgres = json_object();
	const char *text;
	int r = 0;

	for (size_t k = 0; r == 0 && (text = command_option_nth(call, "set", k)); k++) {
		const char *equals = strchr(text, '=');
		CLEANUP_FREE char *name = equals ? strndup(text, (size_t)(equals - text)) : NULL;

		if (!name || !*name)
			r = command_usage(call, "-c takes NAME=VALUE, not '%s'", text);
		else
			r = pgbranch_check_setting(name, equals + 1, true, &call->error);
		if (r == 0 && json_object_set_new(postgres, name, json_string(equals + 1)) < 0)
			r = command_usage(call, "'%s' is not text", text);
	}
	for (size_t k = 0; r == 0 && (text = command_option_nth(call, "unset", k)); k++)
		json_object_set_new(postgres, text, json_null());
	if (r == 0 && json_object_size(postgres))
		json_object_set(set, "postgres", postgres);
	json_decref(postgres);
	return r;
}

static int read_profile(struct command_call *call, json_t *set)
{
	const char *text = command_option(call, "profile");

	if (!text)
		return 0;
	if (strcmp(text, "default") != 0 && !pgprofile_find(text))
		return command_usage(
		    call, "--profile takes small, standard, inherit or default, not '%s'", text);
	json_object_set_new(set, "profile",
			    strcmp(text, "default") == 0 ? json_null() : json_string(text));
	return 0;
}

static int read_resources(struct command_call *call, json_t *set)
{
	const char *memory = command_option(call, "memory"), *cpus = command_option(call, "cpus");
	uint64_t bytes = 0;
	double n = 0;
	int r = 0;

	if (memory && strcmp(memory, "default") == 0) {
		json_object_set_new(set, "memory_bytes", json_null());
	} else if (memory) {
		if (strcmp(memory, "any") != 0)
			r = parse_size(memory, &bytes, &call->error);
		if (r == 0 && bytes && bytes < PGPROFILE_MEMORY_LEAST)
			r = command_usage(call,
					  "--memory %s is too little for a server: 32M is the "
					  "least",
					  memory);
		json_object_set_new(set, "memory_bytes", json_integer((json_int_t)bytes));
	}
	if (r == 0 && cpus && strcmp(cpus, "default") == 0) {
		json_object_set_new(set, "cpus", json_null());
	} else if (r == 0 && cpus) {
		if (strcmp(cpus, "any") != 0)
			r = parse_cpus(cpus, &n, &call->error);
		json_object_set_new(set, "cpus", json_real(n));
	}
	return r;
}

int branch_settings_read(struct command_call *call, json_t *set)
{
	static int (*const readers[])(struct command_call *, json_t *) = {
	    read_expiry,   read_protected, read_suspend,   read_sessions, read_clients,
	    read_postgres, read_profile,   read_resources, read_quota,
	};
	int r = 0;

	for (size_t k = 0; r == 0 && k < sizeof(readers) / sizeof(readers[0]); k++)
		r = readers[k](call, set);
	return r;
}

bool branch_settings_of_server(const json_t *set)
{
	static const char *const keys[] = {"postgres", "profile", "memory_bytes", "cpus"};

	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
		if (json_object_get(set, keys[k]))
			return true;
	return false;
}

json_t *branch_settings_fork(const struct command_call *call)
{
	json_t *all = json_array();
	const char *text;

	for (size_t k = 0; (text = command_option_nth(call, "fork", k)); k++)
		json_array_append_new(all, json_string(text));
	if (command_option(call, "reset-passwords"))
		json_array_append_new(all, json_string("role_passwords=replaced"));
	if (command_option(call, "restricted"))
		json_array_append_new(all, json_string("superusers=locked"));
	return all;
}
