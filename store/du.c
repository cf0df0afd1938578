// SPDX-License-Identifier: Apache-2.0
/* du: what branches take. Bytes are counted in the blocks of the map, not on the host: a block is 8
 * KiB wherever it lies, and what waits for gc does not count. */
#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/cleanup.h"
#include "store/world.h"

struct count {
	struct cow_store *s;
	uint64_t blocks;
};

static int count_bits(uint64_t epoch, uint64_t ino, uint64_t chunk, const uint64_t bits[16],
		      void *arg)
{
	struct count *n = arg;

	for (int k = 0; k < 16; k++)
		n->blocks += (uint64_t)__builtin_popcountll(bits[k]);
	return cow_store_ending(n->s) ? -ECANCELED : 0;
}

/* Bytes of the lineage that its points need. */
static cow_errno needed(struct cow_store *s, const struct cow_world *w,
			const struct cow_world_lineage *l, uint64_t *ret)
{
	struct count n = {.s = s};
	const struct cow_needs_sink sink = {.block = count_bits, .arg = &n};
	struct cow_needs_points p;
	cow_errno r = cow_world_points(w, l, &p);

	if (r == 0 && p.n)
		r = cow_needs(s, l->id, &p, &sink);
	free(p.at);
	*ret = n.blocks * COW_BLOCK;
	return r;
}

static void drop_point(struct cow_world *w, size_t k)
{
	w->n_points--;
	w->point[k] = w->point[w->n_points];
	w->owner[k] = w->owner[w->n_points];
}

/* Lineages that lost a point, each counted once before and once after. */
struct touched {
	uint64_t id, before;
};

struct without {
	struct cow_store *s;
	struct cow_world *w;
	struct touched *at;
	size_t n, cap;
};

/* Before the first point of it goes: what it needs now. */
static cow_errno touch(struct without *x, uint64_t id)
{
	const struct cow_world_lineage *l = cow_world_find(x->w, id);
	cow_errno r;

	for (size_t k = 0; k < x->n; k++)
		if (x->at[k].id == id)
			return 0;
	if (!l)
		return 0;
	if (x->n == x->cap) {
		size_t cap = x->cap ? 2 * x->cap : 8;
		void *more = realloc(x->at, cap * sizeof(*x->at));

		if (!more)
			return -ENOMEM;
		x->at = more;
		x->cap = cap;
	}
	r = needed(x->s, x->w, l, &x->at[x->n].before);
	x->at[x->n++].id = id;
	return r;
}

static cow_errno remove_snapshots(struct without *x, uint64_t branch)
{
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && k < x->w->n_points;) {
		if (x->w->owner[k] != branch) {
			k++;
			continue;
		}
		r = touch(x, x->w->point[k].lineage);
		drop_point(x->w, k);
	}
	return r;
}

static bool has_points(const struct cow_world *w, const struct cow_world_lineage *l)
{
	if (l->has_branch)
		return true;
	for (size_t k = 0; k < w->n_points; k++)
		if (w->point[k].lineage == l->id)
			return true;
	return false;
}

/* A lineage without points is gone, and with it the point its parent kept for it. */
static cow_errno remove_unreachable(struct without *x)
{
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && k < x->n; k++) {
		const struct cow_world_lineage *l = cow_world_find(x->w, x->at[k].id);

		if (!l->parent || has_points(x->w, l))
			continue;
		r = touch(x, l->parent);
		for (size_t p = 0; p < x->w->n_points; p++) {
			if (x->w->owner[p] == 0 && x->w->point[p].lineage == l->parent &&
			    x->w->point[p].epoch == l->fork_epoch) {
				drop_point(x->w, p);
				break; /* other children may have begun over the same point */
			}
		}
	}
	return r;
}

static cow_errno freed(struct without *x, const char *const *names, size_t n, uint64_t *ret,
		       struct cow_error *e)
{
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && k < n; k++) {
		CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
		struct cow_world_lineage *l;

		if ((r = cow_branch_read(x->s, names[k], &b, e)) < 0)
			return r;
		r = touch(x, b.lineage);
		if ((l = cow_world_find(x->w, b.lineage)))
			l->has_branch = false;
		if (r == 0)
			r = remove_snapshots(x, b.id);
	}
	if (r == 0)
		r = remove_unreachable(x);
	*ret = 0;
	for (size_t k = 0; r == 0 && k < x->n; k++) {
		uint64_t after;

		r = needed(x->s, x->w, cow_world_find(x->w, x->at[k].id), &after);
		*ret += x->at[k].before - COW_MIN(after, x->at[k].before);
	}
	return r;
}

cow_errno cow_du_freed(struct cow_store *s, const char *const *names, size_t n, uint64_t *ret,
		       struct cow_error *e)
{
	struct cow_world w;
	struct without x = {.s = s, .w = &w};
	cow_errno r;

	/* What is only in memory is counted too: it is put into the map first. */
	for (size_t k = 0; k < n; k++) {
		struct cow_live *l;

		if (cow_live_get(s, names[k], &l, NULL) == 0) {
			cow_live_commit(l);
			cow_live_put(l);
		}
	}
	pthread_mutex_lock(&s->admin);
	r = cow_world_take(s, &w);
	pthread_mutex_unlock(&s->admin);
	if (r == 0) {
		r = freed(&x, names, n, ret, e);
		cow_world_release(&w);
	}
	free(x.at);
	if (r < 0 && e && !e->text[0])
		cow_fail(e, r, "cannot count: %s", strerror(-r));
	return r;
}

/* --- logical size: every name is walked; a file with several names counts once, as in du(1) --- */

struct sum {
	struct cow_live *l;
	uint64_t bytes;
	uint64_t *many; /* numbers of files with several names that were counted */
	size_t n, cap;
};

/* 1 = the first time that this file is met. */
static int first_time(struct sum *x, uint64_t ino)
{
	for (size_t k = 0; k < x->n; k++)
		if (x->many[k] == ino)
			return 0;
	if (x->n == x->cap) {
		size_t cap = x->cap ? 2 * x->cap : 16;
		void *more = realloc(x->many, cap * sizeof(*x->many));

		if (!more)
			return -ENOMEM;
		x->many = more;
		x->cap = cap;
	}
	x->many[x->n++] = ino;
	return 1;
}

static int add_entry(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	struct sum *x = arg;
	struct cow_inode *i;
	struct cow_attr a;
	int r = cow_inode_get(x->l, ino, &i);

	if (r < 0)
		return r == -ENOENT ? 0 : r; /* removed since it was listed */
	cow_inode_attr(i, &a);
	if (S_ISDIR(type)) {
		r = cow_name_each(i, add_entry, x);
	} else if (S_ISREG(type)) {
		r = a.nlink > 1 ? first_time(x, ino) : 1;
		x->bytes += r == 1 ? a.size : 0;
		r = r < 0 ? r : 0;
	}
	cow_inode_put(i);
	return r;
}

cow_errno cow_du_branch(struct cow_store *s, const char *name, struct cow_du *ret,
			struct cow_error *e)
{
	struct sum x = {0};
	cow_errno r = cow_live_get(s, name, &x.l, e);

	if (r < 0)
		return r;
	r = add_entry("", cow_live_root(x.l), S_IFDIR, &x);
	free(x.many);
	cow_live_put(x.l);
	ret->logical = x.bytes;
	if (r < 0)
		return cow_fail(e, r, "cannot walk branch %s: %s", name, strerror(-r));
	return cow_du_freed(s, &name, 1, &ret->unique, e);
}

/* --- on the host --- */

static uint64_t host_bytes(struct cow_store *s, uint64_t lineage)
{
	char path[4200];
	char *const paths[] = {path, NULL};
	uint64_t sum = 0;
	FTSENT *f;
	FTS *walk;

	snprintf(path, sizeof(path), "%s/ext/%016" PRIx64, cow_store_path(s), lineage);
	walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	while (walk && (f = fts_read(walk)))
		if (f->fts_info == FTS_F)
			sum += (uint64_t)f->fts_statp->st_blocks * 512;
	if (walk)
		fts_close(walk);
	return sum;
}

cow_errno cow_du_own(struct cow_store *s, uint64_t *ret)
{
	struct cow_world w;
	cow_errno r;

	pthread_mutex_lock(&s->admin);
	r = cow_world_take(s, &w);
	pthread_mutex_unlock(&s->admin);
	if (r < 0)
		return r;
	*ret = 0;
	for (size_t k = 0; k < w.n; k++)
		if (w.lineage[k].parent)
			*ret += host_bytes(s, w.lineage[k].id);
	cow_world_release(&w);
	return 0;
}
