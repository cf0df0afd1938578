// SPDX-License-Identifier: Apache-2.0
#include "store/world.h"

#include <errno.h>
#include <stdlib.h>

#include "store/cleanup.h"

void cow_world_release(struct cow_world *w)
{
	free(w->lineage);
	free(w->point);
	free(w->owner);
	*w = (struct cow_world){0};
}

struct cow_world_lineage *cow_world_find(const struct cow_world *w, uint64_t id)
{
	size_t lo = 0, hi = w->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (w->lineage[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->n && w->lineage[lo].id == id ? &w->lineage[lo] : NULL;
}

static cow_errno add_point(struct cow_world *w, struct cow_point at, uint64_t owner)
{
	if (w->n_points == w->cap_points) {
		size_t cap = w->cap_points ? 2 * w->cap_points : 64;
		void *p = realloc(w->point, cap * sizeof(*w->point));
		void *o = p ? realloc(w->owner, cap * sizeof(*w->owner)) : NULL;

		w->point = p ? p : w->point;
		if (!o)
			return -ENOMEM;
		w->owner = o;
		w->cap_points = cap;
	}
	w->point[w->n_points] = at;
	w->owner[w->n_points++] = owner;
	return 0;
}

/* What the scan that met a damaged record answers. */
static int damage(const struct cow_world *w, const uint8_t *key, size_t klen)
{
	if (!w->damaged)
		return -EIO;
	w->damaged(key, klen, w->damaged_arg);
	return 0;
}

static int add_lineage(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct cow_world *w = arg;
	struct cow_lineage_rec rec;
	struct cow_world_lineage *more;

	if (klen != 9 || cow_lineage_decode(val, vlen, &rec) < 0 ||
	    rec.parent >= cow_key_number(key, 0))
		return damage(w, key, klen);
	if ((w->n & (w->n - 1)) == 0) {
		more = realloc(w->lineage, (w->n ? 2 * w->n : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		w->lineage = more;
	}
	w->lineage[w->n++] = (struct cow_world_lineage){
	    .id = cow_key_number(key, 0),
	    .parent = rec.parent,
	    .fork_epoch = rec.fork_epoch,
	    .head = rec.head,
	    .lost = cow_lineage_is_lost(&rec, w->boot),
	};
	return rec.parent ? add_point(w, (struct cow_point){rec.parent, rec.fork_epoch}, 0) : 0;
}

static int add_snap(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct cow_snap_rec v;

	if (klen != 17 || cow_snap_decode(val, vlen, &v) < 0)
		return damage(arg, key, klen);
	return add_point(arg, (struct cow_point){cow_key_number(key, 0), cow_key_number(key, 1)},
			 v.branch_id);
}

static int add_branch(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	struct cow_world_lineage *l;

	if (cow_branch_decode(val, vlen, &b) < 0)
		return damage(arg, key, klen);
	if ((l = cow_world_find(arg, b.lineage)))
		l->has_branch = true;
	return 0;
}

/* Deleted, and still to be had back: as good as a branch. */
static int add_deleted(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct cow_deleted_rec d = {0};
	struct cow_world_lineage *l;
	cow_errno r = cow_deleted_decode(val, vlen, &d);

	if (r == 0 && (l = cow_world_find(arg, d.branch.lineage)))
		l->has_branch = true;
	cow_branch_release(&d.branch);
	return r < 0 ? damage(arg, key, klen) : 0;
}

static bool is_point(const struct cow_world *w, struct cow_point at)
{
	for (size_t k = 0; k < w->n_points; k++)
		if (w->point[k].lineage == at.lineage && w->point[k].epoch == at.epoch)
			return true;
	return false;
}

static cow_errno add_lives(struct cow_store *s, struct cow_world *w)
{
	struct cow_live *l;
	cow_errno r = 0;
	WITH_LOCK(&s->lives_lock);

	TAILQ_FOREACH (l, &s->lives, entry) {
		struct cow_point head = cow_chain_at(l, 0);
		struct cow_world_lineage *at = cow_world_find(w, head.lineage);

		if (!at || l->stale)
			continue;
		if (l->readonly) {
			r = r ? r : add_point(w, head, 0);
			continue;
		}
		at->head = head.epoch;
		at->busy = l->poisoned;
		/* A quiet branch would give out its last closed epoch again, whose versions may
		 * just be going: let it close a new one instead. */
		if (!is_point(w, (struct cow_point){head.lineage, head.epoch - 1}))
			l->head_written = true;
	}
	return r;
}

cow_errno cow_world_take(struct cow_store *s, struct cow_world *ret)
{
	return cow_world_look(s, ret, NULL, NULL);
}

cow_errno cow_world_look(struct cow_store *s, struct cow_world *ret,
			 void (*damaged)(const uint8_t *key, size_t klen, void *arg), void *arg)
{
	struct cow_key l = cow_key_type('L'), b = cow_key_type('B'), p = cow_key_type('S');
	struct cow_key d = cow_key_type('D');
	const struct cow_kv_ops *kv = s->kv->ops;
	int r;

	*ret = (struct cow_world){.boot = s->boot_id, .damaged = damaged, .damaged_arg = arg};
	r = kv->scan(s->kv, l.b, l.len, NULL, 0, add_lineage, ret);
	if (r == 0)
		r = kv->scan(s->kv, p.b, p.len, NULL, 0, add_snap, ret);
	if (r == 0)
		r = kv->scan(s->kv, b.b, b.len, NULL, 0, add_branch, ret);
	if (r == 0)
		r = kv->scan(s->kv, d.b, d.len, NULL, 0, add_deleted, ret);
	if (r == 0)
		r = add_lives(s, ret);
	if (r < 0)
		cow_world_release(ret);
	return r;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

cow_errno cow_world_points(const struct cow_world *w, const struct cow_world_lineage *l,
			   struct cow_needs_points *ret)
{
	*ret = (struct cow_needs_points){.at = calloc(w->n_points + 1, sizeof(*ret->at))};
	if (!ret->at)
		return -ENOMEM;
	for (size_t k = 0; k < w->n_points; k++)
		if (w->point[k].lineage == l->id)
			ret->at[ret->n++] = w->point[k].epoch;
	if (l->has_branch) {
		ret->at[ret->n++] = l->head;
		ret->head = l->head;
	}
	qsort(ret->at, ret->n, sizeof(*ret->at), ascending);
	return 0;
}
