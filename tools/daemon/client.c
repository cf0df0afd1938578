// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/client.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/log.h"
#include "tools/daemon/engine.h"
#include "tools/daemon/opening.h"
#include "tools/daemon/shared.h"
#include "tools/cli/progress.h"
#include "tools/daemon/wire.h"

/* How long a command waits for another one that has the store open, or for a daemon that is
 * starting. */
#define BUSY_WAIT_MS 3000
#define BUSY_STEP_MS 50

static bool quiet;

void client_set_quiet(bool on)
{
	quiet = on;
}

/* --- over the socket --- */

static void show_progress(struct progress *bar, const json_t *p)
{
	progress_set(bar, (uint64_t)json_integer_value(json_object_get(p, "done")),
		     (uint64_t)json_integer_value(json_object_get(p, "total")));
}

/* Read until the result or the error. */
static cow_errno await(struct wire *w, struct progress *bar, json_t **ret, struct cow_error *e)
{
	for (;;) {
		json_t *line = NULL, *v;
		int r = wire_read(w, &line);

		if (r <= 0) {
			cow_fail(e, -ECONNRESET, "the daemon went away before it answered%s%s",
				 r < 0 ? ": " : "", r < 0 ? strerror(-r) : "");
			return cow_hint(e, -ECONNRESET,
					"See log/cowfs.log in the store for the reason.");
		}
		v = json_object_get(line, "progress");
		if (v) {
			show_progress(bar, v);
			json_decref(line);
			continue;
		}
		v = json_object_get(line, "result");
		if (v && ret)
			*ret = json_incref(v);
		r = v ? 0 : wire_error_read(json_object_get(line, "error"), e);
		json_decref(line);
		return r;
	}
}

/* Takes over `fd`; borrows `args`. */
static cow_errno exchange(int fd, const char *verb, json_t *args, bool until_gone, json_t **ret,
			  struct cow_error *e)
{
	struct progress *bar = progress_new(verb, quiet);
	struct wire w;
	cow_errno r;

	wire_init(&w, fd, WIRE_ANSWER_MAX);
	r = wire_write(&w, json_pack("{s:s,s:O}", "verb", verb, "args", args));
	/* A daemon that refuses us closes before we have sent all; its reason can still be read. */
	if (r < 0 && r != -EPIPE)
		cow_fail(e, r, "cannot send to the daemon: %s", strerror(-r));
	else
		r = await(&w, bar, ret, e);
	if (r == 0 && until_gone) {
		json_t *more = NULL;

		while (wire_read(&w, &more) > 0)
			json_decref(more);
	}
	wire_release(&w);
	progress_free(bar);
	return r;
}

/* --- in this process --- */

static void show_local(void *arg, uint64_t done, uint64_t total)
{
	progress_set(arg, done, total);
}

/* The store is open here: run the verb, and close it. */
static cow_errno run_here(struct cow_store *s, const char *verb, json_t *args, json_t **ret,
			  struct cow_error *e)
{
	struct progress *bar = progress_new(verb, quiet);
	struct engine_shared shared = ENGINE_SHARED_INIT;
	struct engine g = {
	    .store = s, .shared = &shared, .progress = show_local, .progress_arg = bar};
	struct cow_error closing = COW_ERROR_INIT;
	json_t *result = NULL;
	cow_errno r = engine_call(&g, verb, args, &result, e), c;

	c = cow_store_close(s, &closing);
	progress_free(bar);
	if (r == 0 && c < 0) {
		r = c;
		if (e)
			*e = closing;
	}
	if (r == 0 && ret)
		*ret = json_incref(result);
	json_decref(result);
	return r;
}

/* *ret_opened tells an error of the verb from one of opening. */
static cow_errno open_and_run(const char *store, const char *verb, json_t *args, bool *ret_opened,
			      json_t **ret, struct cow_error *e)
{
	struct opening_identity self;
	struct cow_store *s = NULL;
	mode_t mask;
	cow_errno r = opening_become_owner(store, &self, e);

	if (r < 0)
		return r;
	mask = umask(077); /* RocksDB leaves the modes of its files to it */
	r = cow_store_open(store, NULL, &s, e);
	*ret_opened = r == 0;
	if (r == 0)
		r = run_here(s, verb, args, ret, e);
	umask(mask);
	opening_become_self(&self);
	return r;
}

/* 1 = nobody serves the socket; 0 or -errno = the answer. */
static int try_daemon(const char *store, const char *verb, json_t *args, bool until_gone,
		      json_t **ret, struct cow_error *e)
{
	int fd;
	cow_errno r = wire_connect(store, &fd);

	if (r == 0)
		return exchange(fd, verb, args, until_gone, ret, e);
	if (r == -EACCES || r == -EPERM) {
		cow_fail(e, r, "the store %s belongs to another user", store);
		return cow_hint(e, r, "Run the command as the owner of the store or as root.");
	}
	return 1;
}

/* The daemon is stopping, or has too many clients: nothing was done, and that will change. */
static bool is_refused_for_now(cow_errno r)
{
	return r == -ESHUTDOWN || r == -EAGAIN;
}

cow_errno client_call(const char *store, const char *verb, json_t *args, json_t **ret,
		      struct cow_error *e)
{
	const struct timespec pause = {.tv_nsec = BUSY_STEP_MS * 1000000};
	const struct engine_verb *v = engine_find(verb);
	bool opened = false;
	cow_errno r = -EBUSY;

	if (v && v->control)
		return client_call_daemon(store, verb, args, ret, e);
	if (!args)
		args = json_object();
	/* What a command has to say about its own short use of the store, it says by its error. */
	cow_log_set_level(COW_LOG_WARN);
	for (unsigned waited = 0; waited <= BUSY_WAIT_MS; waited += BUSY_STEP_MS) {
		r = try_daemon(store, verb, args, false, ret, e);
		if (is_refused_for_now(r)) {
			nanosleep(&pause, NULL);
			continue;
		}
		if (r <= 0)
			break;
		r = open_and_run(store, verb, args, &opened, ret, e);
		if (opened || r != -EBUSY)
			break;
		nanosleep(&pause, NULL);
	}
	json_decref(args);
	return r;
}

cow_errno client_call_daemon(const char *store, const char *verb, json_t *args, json_t **ret,
			     struct cow_error *e)
{
	const struct engine_verb *v = engine_find(verb);
	int r;

	if (!args)
		args = json_object();
	r = try_daemon(store, verb, args, v && v->control, ret, e);
	json_decref(args);
	if (r > 0)
		return cow_fail(e, -ENOTCONN, "no daemon runs on the store %s", store);
	return r;
}

bool client_daemon_runs(const char *store)
{
	int fd;

	if (wire_connect(store, &fd) < 0)
		return false;
	close(fd);
	return true;
}
