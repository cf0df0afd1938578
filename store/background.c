// SPDX-License-Identifier: Apache-2.0
/* background: one thread for everything that nobody waits for: freeing space, committing files that
 * were written and never synced, keeping memory within bounds, the commit number, and gc. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/cleanup.h"
#include "store/core.h"
#include "store/log.h"
#include "store/os.h"
#include "store/recover.h"
#include "store/space.h"

enum { TICK_MS = 1000, COMMIT_TICKS = 20, GC_TICKS = 300 };
enum { FREED_MANY = 16384 }; /* inodes; some 12 MB */

void cow_background_trim(struct cow_store *s, struct cow_point at, uint64_t ino, uint64_t first,
			 uint64_t blocks)
{
	struct cow_trim *t = malloc(sizeof(*t));

	if (!t)
		return; /* the space is found again by gc */
	*t = (struct cow_trim){.at = at, .ino = ino, .first = first, .blocks = blocks};
	pthread_mutex_lock(&s->worker_lock);
	TAILQ_INSERT_TAIL(&s->trims, t, entry);
	pthread_mutex_unlock(&s->worker_lock);
}

void cow_background_gc(struct cow_store *s, uint64_t lineage)
{
	WITH_LOCK(&s->worker_lock);

	if (lineage && s->n_gc_marks == s->cap_gc_marks) {
		size_t cap = s->cap_gc_marks ? 2 * s->cap_gc_marks : 64;
		uint64_t *more = realloc(s->gc_marks, cap * sizeof(*more));

		if (more) {
			s->gc_marks = more;
			s->cap_gc_marks = cap;
		} else {
			lineage = 0; /* cannot note it: look at all */
		}
	}
	if (lineage)
		s->gc_marks[s->n_gc_marks++] = lineage;
	else
		s->gc_all = true;
	s->gc_wanted = true;
	pthread_cond_signal(&s->worker_wake);
}

cow_errno cow_background_owe(struct cow_store *s)
{
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	uint64_t owed = 0;
	bool owes;
	cow_errno r;

	pthread_mutex_lock(&s->worker_lock);
	owes = s->gc_all || s->n_gc_marks;
	pthread_mutex_unlock(&s->worker_lock);
	if ((r = cow_meta_get(s, "gc", &owed)) < 0 || owes == (owed != 0))
		return r;
	cow_meta_put(&b, "gc", owes);
	return cow_store_commit(s, &b);
}

void cow_background_owed(struct cow_store *s)
{
	uint64_t owed = 0;

	if (cow_meta_get(s, "gc", &owed) < 0 || owed)
		cow_background_gc(s, 0);
}

/* The live whose head is this point, if any (reference taken). */
static struct cow_live *live_of(struct cow_store *s, struct cow_point at)
{
	struct cow_live *l;
	WITH_LOCK(&s->lives_lock);

	TAILQ_FOREACH (l, &s->lives, entry)
		if (!l->readonly && !l->stale && l->chain[0].lineage == at.lineage)
			break;
	if (l)
		l->refs++;
	return l;
}

/* Punches what lies between the blocks of `src`, a chunk at a time. */
struct gap {
	int fd;
	uint64_t start, end; /* blocks */
};

static void punch_to(struct gap *g, uint64_t block)
{
	if (block > g->start)
		cow_os_punch(g->fd, g->start * COW_BLOCK, (block - g->start) * COW_BLOCK);
	g->start = block + 1;
}

/* A chunk that cannot be read keeps all of its blocks. map held. */
static void punch_around(struct gap *g, struct cow_inode *i, uint64_t chunk, uint16_t src)
{
	uint64_t first = chunk * COW_CHUNK_BLOCKS;
	uint64_t end = COW_MIN(first + COW_CHUNK_BLOCKS, g->end);
	struct cow_chunk *c = NULL;
	bool known = cow_chunk_get(i, chunk, &c) == 0;

	for (uint64_t b = COW_MAX(first, g->start); b < end; b++)
		if (!known || cow_chunk_src(c, (uint32_t)(b - first)) == src)
			punch_to(g, b);
}

/* Punch what the head still does not own: a block written again in the meantime stays (rule 2). */
static cow_errno punch_unowned(struct cow_inode *i, const struct cow_trim *t)
{
	struct cow_extents *x = i->live->s->extents;
	struct gap g = {.start = t->first, .end = t->first + t->blocks};
	CLEANUP_FREE uint64_t *list = NULL;
	struct cow_extent *file;
	size_t n = 0;
	uint16_t src;
	cow_errno r;
	WITH_SHARED(&i->live->freeze);
	WITH_SHARED(&i->io);
	WITH_LOCK(&i->own); /* over the punch: that is the recheck under the block lock */
	CLEANUP(cow_cleanup_mutex) pthread_mutex_t *map = cow_lock(&i->map);

	if (cow_head(i->live) != t->at.epoch || cow_source_add(i, t->at, &src) < 0)
		return 0; /* sealed meanwhile: gc knows what of it is needed */
	file = i->sources[src - COW_SRC_FIRST].x;
	if ((r = cow_chunks_list_own(i, g.start / COW_CHUNK_BLOCKS, &list, &n)) < 0)
		return r;
	if ((g.fd = cow_extent_pin(x, file, true)) < 0)
		return g.fd;
	for (size_t k = 0; k < n && list[k] * COW_CHUNK_BLOCKS < g.end; k++)
		punch_around(&g, i, list[k], src);
	punch_to(&g, g.end);
	cow_extent_unpin(x, file);
	return 0;
}

static void trim_blocks(struct cow_store *s, const struct cow_trim *t)
{
	struct cow_live *l = live_of(s, t->at);
	struct cow_inode *i = NULL;

	if (l && cow_head(l) == t->at.epoch && cow_inode_get(l, t->ino, &i) == 0) {
		/* Commit first: the map must not say any more that these blocks are there. */
		if (cow_inode_commit(i, false) == 0) {
			cow_grace_wait(&s->grace);
			punch_unowned(i, t);
		}
		cow_inode_put(i);
	}
	cow_live_put(l);
}

static void trim_file(struct cow_store *s, const struct cow_trim *t)
{
	struct cow_live *l = live_of(s, t->at);
	bool head = l && cow_head(l) == t->at.epoch;
	char path[64];

	cow_live_put(l);
	if (!head)
		return; /* of a closed epoch: gc knows whether it is needed */
	cow_extent_path(t->at.lineage, t->at.epoch, t->ino, path);
	cow_os_unlink(s->dirfd, path);
}

void cow_background_trims(struct cow_store *s)
{
	TAILQ_HEAD(, cow_trim) todo = TAILQ_HEAD_INITIALIZER(todo);
	struct cow_trim *t;
	bool durable;

	pthread_mutex_lock(&s->worker_lock);
	TAILQ_CONCAT(&todo, &s->trims, entry);
	pthread_mutex_unlock(&s->worker_lock);
	if (TAILQ_EMPTY(&todo))
		return;
	/* Rule 2: while the map may still lead there, nothing is freed; gc finds the space after a
	 * restart. */
	durable = cow_store_commit_names(s, s->name_seq) == 0;
	if (durable)
		cow_grace_wait(&s->grace);
	else
		cow_log_warn("space is not freed: the map cannot be written");
	while ((t = TAILQ_FIRST(&todo))) {
		TAILQ_REMOVE(&todo, t, entry);
		if (durable && t->blocks == UINT64_MAX)
			trim_file(s, t);
		else if (durable)
			trim_blocks(s, t);
		free(t);
	}
	cow_room_turn(&s->room);
}

static cow_errno commit_all(struct cow_store *s)
{
	struct cow_live **list = NULL, *l;
	cow_errno r = 0, one;
	size_t n = 0;

	pthread_mutex_lock(&s->lives_lock);
	TAILQ_FOREACH (l, &s->lives, entry)
		n++;
	list = calloc(n + 1, sizeof(*list));
	n = 0;
	if (list)
		TAILQ_FOREACH (l, &s->lives, entry)
			if (!l->readonly && !l->stale) {
				l->refs++;
				list[n++] = l;
			}
	pthread_mutex_unlock(&s->lives_lock);
	for (size_t k = 0; k < n; k++) {
		one = cow_live_commit(list[k]);
		r = r ? r : one;
		cow_live_put(list[k]);
	}
	r = list ? r : -ENOMEM;
	free(list);
	return r;
}

cow_errno cow_store_push(struct cow_store *s)
{
	const struct cow_batch none = {0};

	commit_all(s);
	return cow_store_commit(s, &none);
}

cow_errno cow_store_sync(struct cow_store *s)
{
	const struct cow_batch none = {0};
	cow_errno r = commit_all(s), map = cow_store_commit(s, &none);

	return r < 0 ? r : map;
}

/* What was overwritten or unlinked in a closed epoch is garbage once the epoch's point is gone, and
 * nobody says so. */
static void mark_written(struct cow_store *s)
{
	struct cow_live *l;
	WITH_LOCK(&s->lives_lock);

	TAILQ_FOREACH (l, &s->lives, entry)
		if (!l->readonly && !l->stale && l->head_written)
			cow_background_gc(s, l->chain[0].lineage);
}

/* The kernel forgets in storms, and what was freed then lies between what is still in use: the C
 * library gives only the end of a heap back by itself. */
static void give_memory_back(struct cow_store *s)
{
	if (atomic_load(&s->inodes_freed) < FREED_MANY)
		return;
	atomic_store(&s->inodes_freed, 0);
	malloc_trim(0);
}

static void tick(struct cow_store *s, unsigned n, bool gc)
{
	if (atomic_load(&s->cached_bytes) > s->options.cache_bytes)
		cow_chunks_evict(s);
	give_memory_back(s);
	cow_room_tend(&s->room);
	cow_background_trims(s);
	cow_deleted_expire(s);
	cow_compact_run(s);
	if (n % COMMIT_TICKS == 0)
		commit_all(s);
	if (n % GC_TICKS == 0)
		mark_written(s);
	cow_commit_number_keep(s);
	if (gc) {
		struct cow_gc_result got = {0};
		cow_errno r = cow_reclaim(s, false, &got);

		if (r < 0 && r != -ECANCELED)
			cow_log_error("gc: %s", strerror(-r));
		else if (got.lineages || got.bytes)
			cow_log_info("gc: %llu lineages dropped, %llu bytes freed",
				     (unsigned long long)got.lineages,
				     (unsigned long long)got.bytes);
		cow_room_turn(&s->room);
	}
}

static void *run(void *arg)
{
	struct cow_store *s = arg;

	for (unsigned n = 1;; n++) {
		struct timespec until;
		bool gc;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += TICK_MS / 1000;
		pthread_mutex_lock(&s->worker_lock);
		while (!s->worker_stop && !s->gc_wanted &&
		       pthread_cond_clockwait(&s->worker_wake, &s->worker_lock, CLOCK_MONOTONIC,
					      &until) == 0)
			;
		gc = s->gc_wanted;
		s->gc_wanted = false;
		if (s->worker_stop) {
			pthread_mutex_unlock(&s->worker_lock);
			return NULL;
		}
		pthread_mutex_unlock(&s->worker_lock);
		tick(s, n, gc);
	}
}

cow_errno cow_background_start(struct cow_store *s)
{
	int r = pthread_create(&s->worker, NULL, run, s);

	s->worker_runs = r == 0;
	return r ? -r : cow_summer_start(s);
}

void cow_background_stop(struct cow_store *s)
{
	cow_summer_stop(s);
	if (!s->worker_runs)
		return;
	pthread_mutex_lock(&s->worker_lock);
	s->worker_stop = true;
	pthread_cond_signal(&s->worker_wake);
	pthread_mutex_unlock(&s->worker_lock);
	pthread_join(s->worker, NULL);
	s->worker_runs = false;
}
