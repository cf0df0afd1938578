// SPDX-License-Identifier: Apache-2.0
/* work: what the children of cowfs serve do. Each may block, and ends when it has answered.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "store/cleanup.h"
#include "tools/daemon/client.h"
#include "tools/daemon/json_text.h"
#include "tools/pg/pg.h"
#include "tools/pg/pgbranch.h"
#include "tools/pg/pgcgroup.h"
#include "tools/pg/pgfirst.h"
#include "tools/pg/pgplace.h"
#include "tools/pg/pgsettle.h"
#include "tools/serve/job.h"

/* --- sync --- */

/* Where a server has TLS and we have none, a client that comes past us would find what one that
 * comes through us does not. Errs on the side of true. */
static bool has_tls(const struct pgstate *s)
{
	static const uint8_t request[] = {0, 0, 0, 8, 4, 210, 22, 47}; /* SSLRequest */
	const struct timeval limit = {.tv_sec = 2};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
	CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer = 0;

	if (fd < 0 || inet_pton(AF_INET, s->listens, &to.sin_addr) != 1)
		return true;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	       send(fd, request, sizeof(request), MSG_NOSIGNAL) != sizeof(request) ||
	       recv(fd, &answer, 1, 0) != 1 || answer != 'N';
}

static json_t *server_json(const struct serve *serve, const struct pgstate *s)
{
	if (!s->running)
		return json_null();
	return json_pack("{s:i,s:s,s:i,s:s,s:b,s:b}", "pid", (int)s->pid, "host", s->listens,
			 "port", s->port, "socket_dir", s->socket_dir, "ready", s->ready, "tls",
			 serve->steer && has_tls(s));
}

static cow_errno give_port(struct serve *s, json_t *branch, struct cow_error *e)
{
	json_t *settings = json_object_get(branch, "settings"), *answer = NULL;
	cow_errno r = 0;

	if (json_is_integer(json_object_get(settings, "port")))
		return 0;
	r = client_call(
	    s->o->store, "server.place",
	    json_pack("{s:O,s:b}", "name", json_object_get(branch, "name"), "choose_port", 1),
	    &answer, e);
	if (r == 0)
		json_object_set(settings, "port", json_object_get(answer, "port"));
	json_decref(answer);
	return r;
}

/* What only a look from here tells: where its sockets are, and whether a server runs already. */
static cow_errno look_at(struct serve *s, json_t *branch, struct cow_error *e)
{
	const char *name = json_string_value(json_object_get(branch, "name"));
	const char *path = json_string_value(json_object_get(branch, "path"));
	const struct serve_branch *known;
	char sockets[108], log[4096];
	struct pgstate state = {0};
	cow_errno r =
	    pgplace_fill(s->o->store, name, sockets, sizeof(sockets), log, sizeof(log), e);

	if (r < 0)
		return r;
	json_object_set_new(branch, "socket_dir", json_text(sockets));
	json_object_set_new(branch, "log", json_text(log));
	known = serve_branch_find(s, name);
	if (path && !known) {
		pgstate_read(path, &state, NULL);
		if (pgfirst_is_restricted(&state, sockets))
			state = (struct pgstate){0};
		json_object_set_new(branch, "server", server_json(s, &state));
	}
	/* The proxy wants to listen there before any server was started. */
	if (path && (!known || !known->socket_dir[0]))
		pgplace_make(path, sockets, log, NULL);
	return give_port(s, branch, e);
}

/* Private branches are nobody's to connect to. */
static void leave_out_private(json_t *branches)
{
	for (size_t k = json_array_size(branches); k > 0; k--) {
		json_t *settings = json_object_get(json_array_get(branches, k - 1), "settings");

		if (json_is_string(json_object_get(settings, "private")))
			json_array_remove(branches, k - 1);
	}
}

cow_errno serve_work_sync(struct serve *s, const char *name, json_t **ret, struct cow_error *e)
{
	cow_errno r;
	json_t *pools = NULL, *v;
	size_t k;

	client_set_quiet(true);

	r = client_call_daemon(s->o->store, "branch.list", json_pack("{s:b}", "pools", 1), ret, e);
	if (r == 0)
		r = client_call_daemon(s->o->store, "pool.list", NULL, &pools, e);
	if (r < 0)
		return r;
	json_object_set(*ret, "pools", json_object_get(pools, "pools"));
	json_decref(pools);
	leave_out_private(json_object_get(*ret, "branches"));
	json_array_foreach (json_object_get(*ret, "branches"), k, v) {
		struct cow_error one = COW_ERROR_INIT;

		if (look_at(s, v, &one) < 0)
			json_object_set_new(v, "fault", json_text(one.text));
	}
	return 0;
}

/* --- start --- */

static cow_errno settings_of(const struct serve_branch *b, struct cow_pgconf_list *ret)
{
	const char *name;
	json_t *v;

	if (!b || !b->settings)
		return 0;
	json_object_foreach (b->settings, name, v)
		if (json_is_string(v) && cow_pgconf_list_set(ret, name, json_string_value(v)) < 0)
			return -ENOMEM;
	return 0;
}

static cow_errno start_stopped(struct command_call *call, struct pgbranch *b,
			       const struct cow_pgconf_list *extra, unsigned timeout_ms)
{
	cow_errno r = pgbranch_recover(call, b);

	if (r == 0)
		r = pgbranch_find_programs(b, NULL, &call->error);
	if (r == 0)
		r = pgbranch_await_quiet(call, b);
	if (r < 0)
		return r;
	b->served = true;
	return pgbranch_start(b, extra, timeout_ms, &call->error);
}

cow_errno serve_work_start(struct serve *s, const char *name, json_t **ret, struct cow_error *e)
{
	struct command_call call = {.store = s->o->store};
	struct cow_pgconf_list extra = {0};
	struct timespec t0, t1;
	struct pgbranch b;
	bool adopted;
	cow_errno r;

	client_set_quiet(true);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	r = settings_of(serve_branch_find(s, name), &extra);
	if (r == 0)
		r = pgbranch_find(&call, name, (struct pgbranch_port){.choose = true}, &b);
	adopted = r == 0 && b.state.running;
	if (r == 0 && !adopted)
		r = start_stopped(&call, &b, &extra, (unsigned)s->o->start_ms);
	cow_pgconf_list_release(&extra);
	if (r < 0) {
		*e = call.error;
		return r;
	}
	if (!b.state.socket_dir[0] || !b.state.listens[0])
		pgstate_read(b.pgdata, &b.state, NULL);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	*ret = server_json(s, &b.state);
	json_object_set_new(*ret, "unlimited",
			    b.unlimited[0] ? json_text(b.unlimited) : json_null());
	json_object_set_new(*ret, "adopted", json_boolean(adopted));
	json_object_set_new(
	    *ret, "start_ms",
	    json_integer((t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000));
	return 0;
}

/* --- idle sessions --- */

/* Over the private socket, as the owner of the data: the way in that needs no password. */
cow_errno serve_work_idle(struct serve *s, const char *name, json_t **ret, struct cow_error *e)
{
	struct command_call call = {.store = s->o->store};
	struct pg_address at = {.dbname = "postgres"};
	uint64_t idle_ms = 0;
	struct pgbranch b;
	cow_errno r;

	client_set_quiet(true);
	r = pgbranch_find(&call, name, (struct pgbranch_port){0}, &b);
	if (r == 0)
		r = pgserver_become_owner(b.pgdata, &call.error);
	if (r < 0) {
		*e = call.error;
		return r;
	}
	at.host = b.state.socket_dir;
	at.port = b.state.port;
	at.user = b.user;
	r = cow_pg_idle_ms(&at, &idle_ms, e);
	if (r == 0)
		*ret = json_pack("{s:o}", "idle_ms", json_count(idle_ms));
	return r;
}

/* --- groups --- */

void serve_work_prepare(void)
{
	char base[PATH_MAX];

	if (pgcgroup_base(base, sizeof(base), NULL) == 0)
		pgcgroup_prepare(base);
}

void serve_work_forget_group(const char *name)
{
	char base[PATH_MAX], slug[PGPLACE_SLUG];

	pgplace_slug(name, slug);
	if (pgcgroup_base(base, sizeof(base), NULL) == 0)
		pgcgroup_remove(base, slug);
}

/* --- pools --- */

cow_errno serve_work_grow(struct serve *s, const char *pool, json_t **ret, struct cow_error *e)
{
	struct command_call call = {.store = s->o->store};
	json_t *known = NULL;
	cow_errno r;

	client_set_quiet(true);
	r = client_call_daemon(s->o->store, "pool.get", json_pack("{s:s}", "name", pool), &known,
			       e);
	if (r < 0)
		return r;
	r = pgsettle(&call, json_string_value(json_object_get(known, "source")));
	json_decref(known);
	if (r < 0) {
		*e = call.error;
		return r;
	}
	return client_call_daemon(s->o->store, "pool.grow", json_pack("{s:s}", "name", pool), ret,
				  e);
}

cow_errno serve_work_ready(struct serve *s, const char *name, json_t **ret, struct cow_error *e)
{
	client_set_quiet(true);
	return client_call_daemon(s->o->store, "branch.settings",
				  json_pack("{s:s,s:{s:b}}", "name", name, "set", "pool_ready", 1),
				  ret, e);
}

cow_errno serve_work_purge(struct serve *s, const char *name, json_t **ret, struct cow_error *e)
{
	client_set_quiet(true);
	return client_call_daemon(s->o->store, "branch.delete",
				  json_pack("{s:[s],s:i}", "names", name, "keep_ms", 0), ret, e);
}

/* --- small changes --- */

cow_errno serve_work_delete(struct serve *s, const char *name, json_t **ret, struct cow_error *e)
{
	client_set_quiet(true);
	return client_call_daemon(s->o->store, "branch.delete",
				  json_pack("{s:[s],s:b}", "names", name, "expired", 1), ret, e);
}

cow_errno serve_work_mark(struct serve *s, const char *name, json_t **ret, struct cow_error *e)
{
	const struct serve_branch *b = serve_branch_find(s, name);
	bool stopped = b && b->state == SERVE_STOPPED;

	client_set_quiet(true);
	return client_call_daemon(s->o->store, "branch.settings",
				  json_pack("{s:s,s:{s:o}}", "name", name, "set", "stopped",
					    stopped ? json_true() : json_null()),
				  ret, e);
}
