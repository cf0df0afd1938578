// SPDX-License-Identifier: Apache-2.0
/* live: opening an incarnation, its chain of lineages, and its table of inodes in memory. */
#include "store/live.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/branch_impl.h"
#include "store/cleanup.h"
#include "store/log.h"
#include "store/touched.h"

enum { BUCKETS = 64 };

/* A parent is older than its child, so its number is lower: every chain ends. */
cow_errno cow_lineage_get(struct cow_store *s, uint64_t id, struct cow_lineage_rec *ret)
{
	CLEANUP(cow_buf_release) struct cow_buf v = {0};
	struct cow_key k = cow_key_lineage(id);
	cow_errno r = cow_kv_get(s->kv, k.b, k.len, &v);

	if (r == 0)
		r = cow_lineage_decode(v.data, v.len, ret);
	return r == 0 && ret->parent >= id ? -EIO : r;
}

void cow_lineage_put(struct cow_batch *b, uint64_t id, const struct cow_lineage_rec *v)
{
	CLEANUP(cow_buf_release) struct cow_buf bytes = {0};
	struct cow_key k = cow_key_lineage(id);

	if (cow_lineage_encode(v, &bytes) < 0)
		b->failed = -ENOMEM;
	else
		cow_batch_put(b, k.b, k.len, bytes.data, bytes.len);
}

static cow_errno add_link(struct cow_live *l, struct cow_point at,
			  const struct cow_lineage_rec *rec)
{
	struct cow_link *more = realloc(l->chain, (l->n_chain + 1) * sizeof(*l->chain));
	cow_errno r;

	if (!more)
		return -ENOMEM;
	l->chain = more;
	more += l->n_chain;
	*more = (struct cow_link){at.lineage, at.epoch, NULL};
	r = cow_touched_get(l->s, at.lineage, rec, &more->touched);
	if (r == 0)
		l->n_chain++;
	return r;
}

/* From the lineage down to its base. What other lives know of the lineages below is not read
 * again: where a lineage began never changes. */
static cow_errno load_chain(struct cow_live *l, struct cow_point at, bool head)
{
	struct cow_lineage_rec rec;
	cow_errno r = cow_lineage_get(l->s, at.lineage, &rec);

	if (r == 0) {
		l->root = rec.root;
		l->ephemeral = rec.flags & COW_LINEAGE_EPHEMERAL;
		l->lost = cow_lineage_is_lost(&rec, l->s->boot_id);
		if (head)
			at.epoch = rec.head;
		r = add_link(l, at, &rec);
	}
	while (r == 0 && (at = cow_touched_over(l->chain[l->n_chain - 1].touched)).lineage)
		r = add_link(l, at, NULL);
	return r == -ENOENT ? -EIO : r;
}

static void live_free(struct cow_live *l)
{
	pthread_rwlock_destroy(&l->freeze);
	pthread_rwlock_destroy(&l->names);
	pthread_mutex_destroy(&l->table);
	pthread_mutex_destroy(&l->dirty_lock);
	pthread_mutex_destroy(&l->seal_lock);
	pthread_mutex_destroy(&l->seal_wait);
	pthread_cond_destroy(&l->seal_cond);
	for (uint32_t k = 0; k < l->n_chain; k++)
		cow_touched_put(l->chain[k].touched);
	free(l->buckets);
	free(l->chain);
	free(l);
}

static cow_errno live_new(struct cow_store *s, struct cow_point at, bool head,
			  struct cow_live **ret)
{
	struct cow_live *l = calloc(1, sizeof(*l));
	pthread_rwlockattr_t writers_first;
	cow_errno r;

	if (!l)
		return -ENOMEM;
	l->s = s;
	l->refs = 1;
	l->n_buckets = BUCKETS;
	l->buckets = calloc(BUCKETS, sizeof(*l->buckets));
	/* The freeze must not starve behind a stream of writes. */
	pthread_rwlockattr_init(&writers_first);
	pthread_rwlockattr_setkind_np(&writers_first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&l->freeze, &writers_first);
	pthread_rwlock_init(&l->names, &writers_first);
	pthread_rwlockattr_destroy(&writers_first);
	pthread_mutex_init(&l->table, NULL);
	pthread_mutex_init(&l->dirty_lock, NULL);
	pthread_mutex_init(&l->seal_lock, NULL);
	pthread_mutex_init(&l->seal_wait, NULL);
	pthread_cond_init(&l->seal_cond, NULL);
	TAILQ_INIT(&l->dirty);
	r = l->buckets ? load_chain(l, at, head) : -ENOMEM;
	if (r < 0) {
		live_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

struct cow_live *cow_live_ref(struct cow_live *l)
{
	WITH_LOCK(&l->s->lives_lock);

	l->refs++;
	return l;
}

/* lives_lock held */
static struct cow_live *find(struct cow_store *s, uint64_t incarnation)
{
	struct cow_live *l;

	TAILQ_FOREACH (l, &s->lives, entry)
		if (!l->readonly && l->incarnation == incarnation)
			break;
	if (l)
		l->refs++;
	return l;
}

struct cow_live *cow_live_find(struct cow_store *s, uint64_t incarnation)
{
	WITH_LOCK(&s->lives_lock);

	return find(s, incarnation);
}

/* Durably, before the first write that nobody will sync: after a crash the mark must be there. */
static cow_errno mark_unsynced(struct cow_live *l, bool on)
{
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	struct cow_lineage_rec rec;
	cow_errno r = cow_lineage_get(l->s, l->chain[0].lineage, &rec);

	if (r < 0 || l->lost || (rec.boot[0] != '\0') == on)
		return r;
	snprintf(rec.boot, sizeof(rec.boot), "%s", on ? l->s->boot_id : "");
	cow_lineage_put(&b, l->chain[0].lineage, &rec);
	return cow_store_commit(l->s, &b);
}

cow_errno cow_live_settle_ephemeral(struct cow_store *s)
{
	struct cow_live *l;
	cow_errno r = 0;
	bool synced = false;

	pthread_mutex_lock(&s->lives_lock);
	TAILQ_FOREACH (l, &s->lives, entry) {
		if (r < 0 || !l->ephemeral || l->readonly || l->stale)
			continue;
		if (!synced && syncfs(s->dirfd) < 0)
			r = -errno;
		synced = true;
		if (r == 0)
			r = mark_unsynced(l, false);
	}
	pthread_mutex_unlock(&s->lives_lock);
	return r;
}

static bool has_poison(struct cow_live *l)
{
	CLEANUP(cow_buf_release) struct cow_buf key = {0};
	CLEANUP(cow_buf_release) struct cow_buf val = {0};
	struct cow_key k = cow_key_type1('P', l->chain[0].lineage);

	return l->s->kv->ops->seek(l->s->kv, k.b, k.len, k.len, &key, &val) == 0;
}

cow_errno cow_live_open(struct cow_store *s, const struct cow_branch_rec *b, struct cow_live **ret)
{
	struct cow_live *l = cow_live_find(s, b->incarnation), *other;
	cow_errno r;

	if (l) {
		*ret = l;
		return 0;
	}
	r = live_new(s, (struct cow_point){b->lineage, 0}, true, &l);
	if (r < 0)
		return r;
	l->branch_id = b->id;
	l->incarnation = b->incarnation;
	l->poisoned = has_poison(l);
	l->quota = b->quota;
	if (l->lost)
		cow_log_warn("ephemeral branch br-%08" PRIx64
			     ": the machine went down since it was written; it needs a reset",
			     b->id);
	if (b->quota && (r = cow_quota_count(l)) < 0) {
		live_free(l);
		return r;
	}
	if (l->ephemeral && (r = mark_unsynced(l, true)) < 0) {
		live_free(l);
		return r;
	}
	l->head_written = true; /* unknown: one epoch is closed for nothing at worst */
	pthread_mutex_lock(&s->lives_lock);
	other = find(s, b->incarnation);
	if (!other) {
		l->refs++; /* the store's own, until it is retired: a quiet branch stays known as
			      quiet */
		TAILQ_INSERT_TAIL(&s->lives, l, entry);
	}
	pthread_mutex_unlock(&s->lives_lock);
	if (other)
		live_free(l);
	*ret = other ? other : l;
	return 0;
}

cow_errno cow_live_at(struct cow_store *s, struct cow_point at, struct cow_live **ret)
{
	cow_errno r = live_new(s, at, false, ret);

	if (r < 0)
		return r;
	(*ret)->readonly = true;
	pthread_mutex_lock(&s->lives_lock);
	TAILQ_INSERT_TAIL(&s->lives, *ret, entry);
	pthread_mutex_unlock(&s->lives_lock);
	return 0;
}

cow_errno cow_live_get(struct cow_store *s, const char *branch, struct cow_live **ret,
		       struct cow_error *e)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	cow_errno r = cow_branch_read(s, branch, &b, e);

	if (r == 0 && (r = cow_live_open(s, &b, ret)) < 0)
		cow_fail(e, r, "cannot open branch %s: damaged lineage", branch);
	return r;
}

cow_errno cow_live_get_point(struct cow_store *s, const char *reference, struct cow_live **ret,
			     struct cow_error *e)
{
	struct cow_ref ref;
	cow_errno r;
	WITH_LOCK(&s->admin); /* gc must not come between the point and the live that protects it */

	if ((r = cow_branch_point(s, reference, NULL, &ref, e)) < 0)
		return r;
	cow_branch_release(&ref.branch);
	return cow_live_at(s, ref.at, ret);
}

void cow_live_put(struct cow_live *l)
{
	struct cow_store *s;
	bool last;

	if (!l)
		return;
	s = l->s;
	pthread_mutex_lock(&s->lives_lock);
	last = --l->refs == 0;
	if (last)
		TAILQ_REMOVE(&s->lives, l, entry);
	pthread_mutex_unlock(&s->lives_lock);
	if (last)
		live_free(l);
}

uint64_t cow_live_incarnation(const struct cow_live *l)
{
	return l->incarnation;
}

uint64_t cow_live_root(const struct cow_live *l)
{
	return l->root;
}

bool cow_live_stale(const struct cow_live *l)
{
	return l->stale;
}

bool cow_live_ephemeral(const struct cow_live *l)
{
	return l->ephemeral;
}

void cow_live_retire(struct cow_live *l)
{
	struct cow_inode *i;
	bool was;

	/* Behind the freeze: when this returns no modification is under way. */
	pthread_rwlock_wrlock(&l->freeze);
	was = atomic_exchange(&l->stale, true);
	l->gives_up = true;
	pthread_rwlock_unlock(&l->freeze);
	cow_room_turn(&l->s->room);
	for (;;) {
		pthread_mutex_lock(&l->dirty_lock);
		i = TAILQ_FIRST(&l->dirty);
		if (i) {
			TAILQ_REMOVE(&l->dirty, i, dirty_entry);
			i->on_dirty = false;
		}
		pthread_mutex_unlock(&l->dirty_lock);
		if (!i)
			break;
		cow_inode_put(i);
	}
	if (!was)
		cow_live_put(l); /* the store's own reference */
}

cow_errno cow_live_sync(struct cow_live *l)
{
	cow_errno r = cow_live_commit(l);

	return r < 0 ? r : cow_store_commit_names(l->s, l->name_seq);
}
