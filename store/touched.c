// SPDX-License-Identifier: Apache-2.0
/* touched: sets of marks. A set is an open hash table of 32-bit marks that only grows; look-ups
 * take no lock. A table that became too small stays until the set goes, for somebody may be looking
 * into it. */
#include "store/touched.h"

#include <errno.h>
#include <stdlib.h>

#include "store/cleanup.h"
#include "store/codec.h"
#include "store/log.h"

enum { FIRST_SLOTS = 64, READ_MAX = 1 << 20 };

struct table {
	struct table *older;
	uint32_t slots;          /* a power of two */
	uint32_t used;           /* touched.lock */
	_Atomic uint32_t mark[]; /* 0 = free */
};

enum state {
	UNREAD,   /* only what this process wrote is in it */
	COMPLETE, /* everything is */
	ASK       /* too many, or there was no memory: no answer but "maybe" */
};

struct cow_touched {
	LIST_ENTRY(cow_touched) entry; /* store.touched_lock */
	uint32_t refs;                 /* store.touched_lock */
	struct cow_store *s;
	uint64_t lineage;
	struct cow_point over;
	pthread_mutex_t lock; /* to add; held while the map is read, so that this is done once */
	_Atomic(struct table *) table; /* changed under lock */
	_Atomic int state;             /* changed under lock */
};

/* --- marks --- */

static uint32_t mark_of(uint64_t a, uint64_t b)
{
	uint64_t x = (a ^ b * 0x9e3779b97f4a7c15u) + 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	x ^= x >> 31;
	return (uint32_t)x ? (uint32_t)x : 1;
}

uint32_t cow_mark_inode(uint64_t ino)
{
	return mark_of(ino, 1);
}

uint32_t cow_mark_dir(uint64_t dir)
{
	return mark_of(dir, 2);
}

uint32_t cow_mark_name(uint64_t dir, const char *name, size_t len)
{
	return mark_of(dir, cow_codec_sum(name, len));
}

/* --- tables --- */

static struct table *table_new(uint32_t slots, struct table *older)
{
	struct table *t = calloc(1, sizeof(*t) + slots * sizeof(t->mark[0]));

	if (t) {
		t->slots = slots;
		t->older = older;
	}
	return t;
}

/* The slot that holds the mark, or the free one where it would be. */
static _Atomic uint32_t *slot(struct table *t, uint32_t mark)
{
	uint32_t at = mark & (t->slots - 1), m;

	while ((m = atomic_load_explicit(&t->mark[at], memory_order_relaxed)) && m != mark)
		at = (at + 1) & (t->slots - 1);
	return &t->mark[at];
}

/* lock held */
static bool grow(struct cow_touched *t, struct table *old)
{
	struct table *more = table_new(old ? 2 * old->slots : FIRST_SLOTS, old);

	if (!more)
		return false;
	for (uint32_t k = 0; old && k < old->slots; k++)
		if (old->mark[k])
			*slot(more, old->mark[k]) = old->mark[k];
	more->used = old ? old->used : 0;
	atomic_store_explicit(&t->table, more, memory_order_release);
	return true;
}

/* lock held */
static void add(struct cow_touched *t, uint32_t mark)
{
	struct table *at = t->table;
	_Atomic uint32_t *place;

	if (t->state == ASK)
		return;
	if (at && *(place = slot(at, mark)) == mark)
		return;
	if (!at || at->used >= at->slots / 2) {
		if ((at && at->used >= COW_TOUCHED_MAX) || !grow(t, at)) {
			t->state = ASK;
			return;
		}
		at = t->table;
	}
	at->used++;
	atomic_store_explicit(slot(at, mark), mark, memory_order_relaxed);
}

/* --- what is in the map --- */

struct reading {
	struct cow_touched *t;
	size_t n;
};

static int add_inode(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct reading *x = arg;

	if (klen != 25 || ++x->n > READ_MAX)
		return -EFBIG;
	add(x->t, cow_mark_inode(cow_key_number(key, 1)));
	return x->t->state == ASK ? -EFBIG : 0;
}

static int add_name(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct reading *x = arg;
	uint64_t dir = cow_key_number(key, 1);

	if (klen < 17 + 1 + 9 || ++x->n > READ_MAX)
		return -EFBIG;
	add(x->t, cow_mark_dir(dir));
	add(x->t, cow_mark_name(dir, (const char *)key + 17, klen - 17 - 9));
	return x->t->state == ASK ? -EFBIG : 0;
}

/* A record written meanwhile is marked by whoever writes it: that waits for the lock. */
static void read_map(struct cow_touched *t)
{
	struct cow_key inodes = cow_key_type1('I', t->lineage);
	struct cow_key names = cow_key_type1('N', t->lineage);
	const struct cow_kv_ops *kv = t->s->kv->ops;
	struct reading x = {.t = t};
	int r;
	WITH_LOCK(&t->lock);

	if (t->state != UNREAD)
		return;
	r = kv->scan(t->s->kv, inodes.b, inodes.len, NULL, 0, add_inode, &x);
	if (r == 0)
		r = kv->scan(t->s->kv, names.b, names.len, NULL, 0, add_name, &x);
	t->state = r == 0 && t->state == UNREAD ? COMPLETE : ASK;
	if (r == -EFBIG)
		cow_log_info("lineage %llu has many records: look-ups ask it each time",
			     (unsigned long long)t->lineage);
}

void cow_touched_add(struct cow_touched *t, uint32_t mark)
{
	struct table *at;

	if (!t->over.lineage)
		return;
	at = atomic_load_explicit(&t->table, memory_order_acquire);
	if (at && *slot(at, mark) == mark)
		return;
	WITH_LOCK(&t->lock);
	add(t, mark);
}

bool cow_touched_may_have(struct cow_touched *t, uint32_t mark)
{
	struct table *at;

	if (!t->over.lineage)
		return true;
	if (t->state == UNREAD)
		read_map(t);
	if (t->state != COMPLETE)
		return true;
	at = atomic_load_explicit(&t->table, memory_order_acquire);
	return at && *slot(at, mark) == mark;
}

/* --- the sets of the store --- */

/* touched_lock held */
static struct cow_touched *find(struct cow_store *s, uint64_t lineage)
{
	struct cow_touched *t;

	LIST_FOREACH (t, &s->touched[lineage % COW_TOUCHED_LISTS], entry)
		if (t->lineage == lineage)
			break;
	if (t)
		t->refs++;
	return t;
}

static void touched_free(struct cow_touched *t)
{
	for (struct table *at = t->table, *older; at; at = older) {
		older = at->older;
		free(at);
	}
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static struct cow_touched *touched_new(struct cow_store *s, uint64_t lineage,
				       const struct cow_lineage_rec *rec)
{
	struct cow_touched *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->s = s;
	t->refs = 1;
	t->lineage = lineage;
	t->over = (struct cow_point){rec->parent, rec->fork_epoch};
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

cow_errno cow_touched_get(struct cow_store *s, uint64_t lineage, const struct cow_lineage_rec *rec,
			  struct cow_touched **ret)
{
	struct cow_lineage_rec own;
	struct cow_touched *t, *other;
	cow_errno r;

	pthread_mutex_lock(&s->touched_lock);
	*ret = find(s, lineage);
	pthread_mutex_unlock(&s->touched_lock);
	if (*ret)
		return 0;
	if (!rec && (r = cow_lineage_get(s, lineage, &own)) < 0)
		return r;
	if (!(t = touched_new(s, lineage, rec ? rec : &own)))
		return -ENOMEM;
	pthread_mutex_lock(&s->touched_lock);
	other = find(s, lineage);
	if (!other)
		LIST_INSERT_HEAD(&s->touched[lineage % COW_TOUCHED_LISTS], t, entry);
	pthread_mutex_unlock(&s->touched_lock);
	if (other)
		touched_free(t);
	*ret = other ? other : t;
	return 0;
}

void cow_touched_born(struct cow_touched *t)
{
	WITH_LOCK(&t->lock);

	if (t->state == UNREAD)
		t->state = COMPLETE;
}

void cow_touched_put(struct cow_touched *t)
{
	bool last;

	if (!t)
		return;
	pthread_mutex_lock(&t->s->touched_lock);
	last = --t->refs == 0;
	if (last)
		LIST_REMOVE(t, entry);
	pthread_mutex_unlock(&t->s->touched_lock);
	if (last)
		touched_free(t);
}

struct cow_point cow_touched_over(const struct cow_touched *t)
{
	return t->over;
}
