// SPDX-License-Identifier: Apache-2.0
/* pools: keeps as many members of each pool warm as it should have.
 *
 * Looked at after every sync: what is missing is made, one at a time; what was made is started, so
 * that its recovery is done, and is ready from then on; what is too old, too many, or without a
 * pool is shut down and deleted for good. A member that does not start is left as it is and counts,
 * so that a parent nobody can start does not keep the machine busy. */
#include <string.h>

#include "store/log.h"
#include "tools/serve/conn.h"
#include "tools/serve/job.h"

#define AGAIN_MS 10000u /* after a member could not be made */

/* --- making --- */

static void grown(struct serve *s, void *arg, cow_errno r, const json_t *result,
		  const struct cow_error *e)
{
	s->growing = false;
	if (r < 0) {
		cow_log_warn("a pool cannot be filled, will try again: %s", e->text);
		s->grow_after_ms = serve_now_ms() + AGAIN_MS;
	} else if (json_object_get(result, "name")) {
		serve_sync(s, NULL);
	}
}

static void grow(struct serve *s, const char *pool)
{
	if (s->growing || serve_now_ms() < s->grow_after_ms)
		return;
	s->growing = true;
	serve_job(s, serve_work_grow, pool, grown, NULL);
}

/* --- warming --- */

static void marked(struct serve *s, void *arg, cow_errno r, const json_t *result,
		   const struct cow_error *e)
{
	struct serve_branch *b = arg;

	b->marking = false;
	if (r == 0) {
		b->pool_ready = true;
		cow_log_debug("%s is ready", b->name);
	}
	serve_branch_release(b);
	serve_pools_keep(s);
}

static void warm(struct serve *s, struct serve_branch *b, bool runs)
{
	if (b->state == SERVE_SUSPENDED && (!b->pool_ready || runs)) {
		if (!b->failures && !b->queued && !b->launched && serve_has_room(s))
			serve_branch_do(b, SERVE_WAKE, "made ahead, for its pool");
	} else if (b->state == SERVE_IDLE && !b->pool_ready && !b->marking) {
		b->marking = true;
		b->refs++;
		serve_job(s, serve_work_ready, b->name, marked, b);
	} else if (b->state == SERVE_IDLE && b->pool_ready && !runs) {
		serve_branch_do(b, SERVE_SUSPEND, "its pool keeps stopped ones");
	}
}

/* --- removing --- */

static void removed(struct serve *s, void *arg, cow_errno r, const json_t *result,
		    const struct cow_error *e)
{
	struct serve_branch *b = arg;

	if (r == 0) {
		serve_sync(s, NULL);
	} else {
		cow_log_warn("%s cannot be removed from its pool: %s", b->name, e->text);
		b->doomed = false;
	}
	serve_branch_release(b);
}

static void discard(struct serve *s, struct serve_branch *b, const char *why)
{
	if (b->doomed || serve_clients(b))
		return;
	if (!serve_branch_is_down(b)) {
		if (b->state == SERVE_IDLE)
			serve_branch_do(b, SERVE_SUSPEND, why);
		return;
	}
	cow_log_info("%s is deleted: %s", b->name, why);
	b->doomed = true;
	b->refs++;
	serve_job(s, serve_work_purge, b->name, removed, b);
}

/* --- all of it --- */

static const json_t *pool_of(const struct serve *s, const char *name)
{
	const json_t *v;
	size_t k;

	json_array_foreach (s->pools, k, v)
		if (strcmp(json_string_value(json_object_get(v, "name")), name) == 0)
			return v;
	return NULL;
}

static void keep_pool(struct serve *s, const json_t *pool)
{
	const char *name = json_string_value(json_object_get(pool, "name"));
	const char *how = json_string_value(json_object_get(pool, "warm"));
	json_int_t size = json_integer_value(json_object_get(pool, "size")), n = 0;
	struct serve_branch *b, *next;

	for (b = TAILQ_FIRST(&s->branches); b; b = next) {
		next = TAILQ_NEXT(b, link);
		if (strcmp(b->pool, name) != 0 || b->pool_stale || b->doomed)
			continue;
		if (++n > size)
			discard(s, b, "its pool has enough");
		else
			warm(s, b, !how || strcmp(how, "stopped") != 0);
	}
	if (n < size)
		grow(s, name);
}

void serve_pools_keep(struct serve *s)
{
	struct serve_branch *b, *next;
	const json_t *pool;
	size_t k;

	if (s->ending)
		return;
	json_array_foreach (s->pools, k, pool)
		keep_pool(s, pool);
	for (b = TAILQ_FIRST(&s->branches); b; b = next) {
		next = TAILQ_NEXT(b, link);
		if (!b->pool[0])
			continue;
		if (!pool_of(s, b->pool))
			discard(s, b, "its pool is gone");
		else if (b->pool_stale)
			discard(s, b, "its parent has moved on");
	}
}
