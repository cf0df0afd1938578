// SPDX-License-Identifier: Apache-2.0
#include "tools/serve/client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tools/daemon/wire.h"

bool serve_runs(const char *store)
{
	int fd;

	if (!store || wire_connect_as(store, SERVE_SOCKET, &fd) < 0)
		return false;
	close(fd);
	return true;
}

static cow_errno read_answer(struct wire *w, json_t **ret, struct cow_error *e)
{
	json_t *line = NULL, *v;
	int n = wire_read(w, &line);
	cow_errno r;

	if (n == -ETIMEDOUT)
		return cow_fail(e, n, "not done in time; cowfs serve goes on with it");
	if (n <= 0)
		return cow_fail(e, -ECONNRESET, "cowfs serve went away before it answered");
	v = json_object_get(line, "result");
	r = v ? 0 : wire_error_read(json_object_get(line, "error"), e);
	if (v && ret)
		*ret = json_incref(v);
	json_decref(line);
	return r;
}

/* 0 = for ever. */
static void give_up_after(int fd, unsigned timeout_ms)
{
	const struct timeval t = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

	if (timeout_ms)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
}

cow_errno serve_call(const char *store, const char *verb, json_t *args, json_t **ret,
		     struct cow_error *e)
{
	return serve_call_within(store, verb, args, 0, ret, e);
}

cow_errno serve_call_within(const char *store, const char *verb, json_t *args, unsigned timeout_ms,
			    json_t **ret, struct cow_error *e)
{
	struct wire w;
	int fd;
	cow_errno r = wire_connect_as(store, SERVE_SOCKET, &fd);

	if (r < 0) {
		json_decref(args);
		if (r == -EACCES || r == -EPERM)
			return cow_fail(e, r, "the store %s belongs to another user", store);
		cow_fail(e, -ENOTCONN, "no cowfs serve runs for the store %s", store);
		return cow_hint(e, -ENOTCONN, "Start it: cowfs serve --store %s", store);
	}
	give_up_after(fd, timeout_ms);
	wire_init(&w, fd, WIRE_ANSWER_MAX);
	r = wire_write(&w,
		       json_pack("{s:s,s:o}", "verb", verb, "args", args ? args : json_object()));
	if (r < 0 && r != -EPIPE)
		cow_fail(e, r, "cannot send to cowfs serve: %s", strerror(-r));
	else
		r = read_answer(&w, ret, e);
	wire_release(&w);
	return r;
}

void serve_nudge(const char *store)
{
	if (serve_runs(store))
		serve_call(store, "sync", NULL, NULL, NULL);
}

static void overlay_one(json_t *branch, const json_t *status)
{
	static const char *const shown[] = {
	    "current_state",         "clients",         "starts",   "suspend_timeout_ms",
	    "suspend_idle_sessions", "max_connections", "straight", "steered"};
	static const char *const faults[] = {"reason", "unlimited"};
	const char *name = json_string_value(json_object_get(branch, "name"));
	json_t *known = name ? json_object_get(status, name) : NULL, *v;

	/* A branch that cannot be written is not just asleep. */
	if (!known ||
	    strcmp(json_string_value(json_object_get(branch, "current_state")), "poisoned") == 0)
		return;
	for (size_t k = 0; k < sizeof(shown) / sizeof(shown[0]); k++)
		json_object_set(branch, shown[k], json_object_get(known, shown[k]));
	for (size_t k = 0; k < sizeof(faults) / sizeof(faults[0]); k++) {
		v = json_object_get(known, faults[k]);
		if (json_is_string(v))
			json_object_set(branch, faults[k], v);
	}
}

void serve_overlay(const char *store, json_t *branches)
{
	json_t *status = NULL, *known, *v;
	size_t k;

	if (!serve_runs(store) || serve_call(store, "status", NULL, &status, NULL) < 0)
		return;
	known = json_object_get(status, "branches");
	if (json_is_array(branches)) {
		json_array_foreach (branches, k, v)
			overlay_one(v, known);
	} else {
		overlay_one(branches, known);
	}
	json_decref(status);
}

cow_errno serve_make_way(const char *store, const char *name, bool force, const char *why,
			 struct cow_error *e)
{
	json_t *status = NULL, *known;
	bool idle;

	if (!serve_runs(store) || serve_call(store, "status", NULL, &status, NULL) < 0)
		return 0;
	known = json_object_get(json_object_get(status, "branches"), name);
	idle = known &&
	       strcmp(json_string_value(json_object_get(known, "current_state")), "idle") == 0;
	force = force && json_is_integer(json_object_get(known, "pid"));
	json_decref(status);
	if (!idle && !force)
		return 0;
	return serve_call(store, "suspend", json_pack("{s:s,s:s}", "name", name, "why", why), NULL,
			  e);
}
