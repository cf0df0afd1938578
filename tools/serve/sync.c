// SPDX-License-Identifier: Apache-2.0
/* sync: what the daemon says about branches becomes what serve does.
 *
 * One sync at a time; whoever asks for one while it runs gets another one afterwards, so that its
 * change is certainly seen. Branches are known by name; one of the same name with another id is
 * another branch. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/log.h"
#include "tools/cli/parse.h"
#include "tools/serve/conn.h"
#include "tools/serve/job.h"

static void apply_settings(struct serve_branch *b, const json_t *settings)
{
	const struct serve_options *o = b->serve->o;
	const json_t *suspend = json_object_get(settings, "suspend_timeout_ms");
	const json_t *clients = json_object_get(settings, "max_connections");
	const json_t *sessions = json_object_get(settings, "suspend_idle_sessions");
	const char *expires = json_string_value(json_object_get(settings, "expires_at"));
	bool sessions_before = b->suspend_sessions;
	uint64_t before = b->suspend_ms;

	b->suspend_ms =
	    json_is_integer(suspend) ? (uint64_t)json_integer_value(suspend) : o->suspend_ms;
	b->suspend_sessions =
	    json_is_boolean(sessions) ? json_is_true(sessions) : o->suspend_sessions;
	b->max_connections =
	    json_is_integer(clients) ? (unsigned)json_integer_value(clients) : o->max_connections;
	b->protected = json_is_true(json_object_get(settings, "protected"));
	b->expires_ns = 0;
	if (expires)
		parse_time(expires, &b->expires_ns, NULL);
	if (before != b->suspend_ms || sessions_before != b->suspend_sessions)
		serve_rest_anew(b);
}

static void set_text(char *to, size_t size, const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	snprintf(to, size, "%s", text ? text : "");
}

static void take_over(struct serve_branch *b, const json_t *described)
{
	const json_t *server = json_object_get(described, "server");
	const json_t *settings = json_object_get(described, "settings");

	if (json_is_object(server)) {
		/* The table has no way from asleep to running but a start. */
		b->state = SERVE_STARTING;
		serve_branch_adopt(b, server);
		cow_log_info("%s: postgres (pid %d) runs already", b->name, (int)b->pid);
		serve_branch_event(b, SERVE_STARTED, NULL);
	} else if (json_is_true(json_object_get(settings, "stopped"))) {
		b->state = SERVE_STOPPED;
	}
}

static struct serve_branch *find_id(struct serve *s, const char *id)
{
	struct serve_branch *b;

	TAILQ_FOREACH (b, &s->branches, link)
		if (strcmp(b->id, id) == 0)
			return b;
	return NULL;
}

static void apply_branch(struct serve *s, const json_t *described)
{
	const char *name = json_string_value(json_object_get(described, "name"));
	const char *id = json_string_value(json_object_get(described, "id"));
	const json_t *settings = json_object_get(described, "settings");
	int port = (int)json_integer_value(json_object_get(settings, "port"));
	struct serve_branch *b = name ? serve_branch_find(s, name) : NULL;
	bool fresh;

	if (!name || !id)
		return;
	if (b && strcmp(b->id, id) != 0) {
		serve_branch_remove(b);
		b = NULL;
	}
	if (!b && (b = find_id(s, id)))
		serve_branch_rename(b, name);
	fresh = !b;
	if (!b)
		b = serve_branch_new(s, name);
	if (!b)
		return;
	b->seen = s->round;
	if (b->port && b->port != port)
		serve_unlisten_branch(b);
	b->port = port;
	snprintf(b->id, sizeof(b->id), "%s", id);
	set_text(b->socket_dir, sizeof(b->socket_dir), described, "socket_dir");
	set_text(b->log, sizeof(b->log), described, "log");
	set_text(b->pool, sizeof(b->pool), described, "pool");
	b->pool_ready |= json_is_true(json_object_get(described, "pool_ready"));
	b->pool_stale = json_is_true(json_object_get(described, "pool_stale"));
	apply_settings(b, settings);
	if (fresh)
		take_over(b, described);
}

static void apply(struct serve *s, const json_t *result)
{
	struct serve_branch *b, *next;
	json_t *v;
	size_t k;

	s->round++;
	json_array_foreach (json_object_get(result, "branches"), k, v)
		apply_branch(s, v);
	for (b = TAILQ_FIRST(&s->branches); b; b = next) {
		next = TAILQ_NEXT(b, link);
		if (b->seen != s->round)
			serve_branch_remove(b);
	}
	json_decref(s->pools);
	s->pools = json_incref(json_object_get(result, "pools"));
	serve_pools_keep(s);
	/* Last: the port of a renamed branch belonged to one of those that went. */
	TAILQ_FOREACH (b, &s->branches, link)
		serve_listen_branch(b);
}

static void answer(struct serve *s)
{
	struct serve_ask *ask;

	while ((ask = TAILQ_FIRST(&s->sync_running)))
		serve_ask_done(ask);
}

static void begin(struct serve *s);
static void begin_again(struct serve *s);

static void synced(struct serve *s, void *arg, cow_errno r, const json_t *result,
		   const struct cow_error *e)
{
	s->syncing = false;
	/* It was asked under a name that is gone: what it says would undo that. */
	if (s->sync_void) {
		s->sync_void = false;
		begin_again(s);
		return;
	}
	if (r == 0)
		apply(s, result);
	if (r < 0 && !s->daemon_lost)
		cow_log_warn("cannot ask about branches, will try again: %s", e->text);
	s->daemon_lost = r < 0;
	s->synced |= r == 0;
	answer(s);
	if (s->sync_again)
		begin(s);
}

/* Those who wait for this sync go on waiting. */
static void begin_again(struct serve *s)
{
	s->syncing = true;
	serve_job(s, serve_work_sync, "", synced, NULL);
}

static void begin(struct serve *s)
{
	s->sync_again = false;
	serve_asks_move(s);
	begin_again(s);
}

void serve_sync(struct serve *s, struct serve_ask *ask)
{
	if (ask)
		serve_ask_wait_for_sync(s, ask);
	if (s->syncing)
		s->sync_again = true;
	else
		begin(s);
}

/* --- sweeping --- */

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void deleted(struct serve *s, void *arg, cow_errno r, const json_t *result,
		    const struct cow_error *e)
{
	struct serve_branch *b = arg;
	char when[PARSE_TIME_SIZE];

	parse_time_format(b->expires_ns, when, sizeof(when));
	if (r == 0) {
		cow_log_info("%s was deleted: it expired at %s", b->name, when);
		serve_sync(s, NULL);
	} else {
		cow_log_warn("%s expired at %s and cannot be deleted: %s", b->name, when, e->text);
		b->doomed = false;
	}
	serve_branch_release(b);
}

void serve_sweep(struct serve *s)
{
	struct serve_branch *b, *next;
	int64_t now = now_ns();

	if (serve_now_ms() - s->swept_ms >= s->o->sweep_ms)
		s->swept = 0;
	for (b = TAILQ_FIRST(&s->branches); b && s->swept < s->o->sweep_max; b = next) {
		next = TAILQ_NEXT(b, link);
		if (!b->expires_ns || b->expires_ns > now || b->protected || b->doomed)
			continue;
		if (!serve_branch_is_down(b)) {
			/* Its clients are told why; the next look finds it down. */
			if (b->state == SERVE_RUNNING || b->state == SERVE_IDLE) {
				cow_log_info("%s has expired and is shut down", b->name);
				serve_branch_do(b, SERVE_SUSPEND, "it expired");
			}
		} else {
			if (s->swept++ == 0)
				s->swept_ms = serve_now_ms();
			b->doomed = true;
			b->refs++;
			serve_job(s, serve_work_delete, b->name, deleted, b);
		}
	}
}
