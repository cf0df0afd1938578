// SPDX-License-Identifier: Apache-2.0
#include "store/needs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"

/* --- versions of one key, newest first as the map has them --- */

struct versions {
	size_t n, cap;
	struct version {
		struct cow_buf key, val;
		uint64_t epoch;
	} * at;
};

static void versions_clear(struct versions *v)
{
	for (size_t k = 0; k < v->n; k++) {
		cow_buf_release(&v->at[k].key);
		cow_buf_release(&v->at[k].val);
	}
	v->n = 0;
}

static void versions_release(struct versions *v)
{
	versions_clear(v);
	free(v->at);
}

static cow_errno versions_add(struct versions *v, const uint8_t *key, size_t klen,
			      const uint8_t *val, size_t vlen)
{
	if (v->n == v->cap) {
		size_t cap = v->cap ? 2 * v->cap : 8;
		void *more = realloc(v->at, cap * sizeof(*v->at));

		if (!more)
			return -ENOMEM;
		v->at = more;
		v->cap = cap;
	}
	v->at[v->n] = (struct version){.epoch = cow_key_epoch(key, klen)};
	v->n++;
	if (cow_buf_set(&v->at[v->n - 1].key, key, klen) < 0 ||
	    cow_buf_set(&v->at[v->n - 1].val, val, vlen) < 0)
		return -ENOMEM;
	return 0;
}

/* Index of the newest version at or before the epoch, or n. */
static size_t newest_at(const struct versions *v, uint64_t epoch)
{
	size_t k = 0;

	while (k < v->n && v->at[k].epoch > epoch)
		k++;
	return k;
}

/* --- one pass over the keys of a type, grouped by key without its version --- */

struct pass {
	struct cow_store *s;
	const struct cow_needs_points *p;
	const struct cow_needs_sink *sink;
	uint64_t lineage;
	struct versions group;
	int (*finish)(struct pass *w); /* the group is complete */
	/* of the inode under work */
	struct versions inode;
	struct cow_inode_rec *recs; /* decoded inode versions, inode.n of them */
	bool orphan;                /* without a name, but open */
	uint64_t next_chunk;        /* chunks below it were seen */
};

static int flush(struct pass *w)
{
	int r = w->group.n ? w->finish(w) : 0;

	versions_clear(&w->group);
	return r;
}

static int add(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct pass *w = arg;
	const struct cow_buf *last = w->group.n ? &w->group.at[0].key : NULL;
	int r = 0;

	if (klen < 25)
		return -EIO;
	if (last && (last->len != klen || memcmp(last->data, key, klen - 8) != 0))
		r = flush(w);
	return r ? r : versions_add(&w->group, key, klen, val, vlen);
}

/* Mark in `keep` what some point sees. */
static void mark_kept(const struct pass *w, const struct versions *v, bool *keep)
{
	for (size_t k = 0; k < v->n; k++)
		keep[k] = w->p->head && v->at[k].epoch > w->p->head;
	for (size_t k = 0; k < w->p->n; k++) {
		size_t at = newest_at(v, w->p->at[k]);

		if (at < v->n)
			keep[at] = true;
	}
}

static int report_dead(const struct pass *w, const struct versions *v, const bool *keep)
{
	int r = 0;

	for (size_t k = 0; r == 0 && w->sink->dead && k < v->n; k++)
		if (!keep[k])
			r = w->sink->dead(v->at[k].key.data, v->at[k].key.len, w->sink->arg);
	return r;
}

static int finish_names(struct pass *w)
{
	CLEANUP_FREE bool *keep = calloc(w->group.n, sizeof(*keep));

	if (!keep)
		return -ENOMEM;
	mark_kept(w, &w->group, keep);
	return report_dead(w, &w->group, keep);
}

/* --- blocks --- */

struct bits {
	uint64_t epoch, word[16];
};

struct bitset {
	struct bits *at;
	size_t n, cap;
};

static cow_errno set_bits(struct bitset *b, uint64_t epoch, uint32_t first, uint32_t len)
{
	struct bits *x = NULL;

	for (size_t k = b->n; k > 0 && !x; k--)
		if (b->at[k - 1].epoch == epoch)
			x = &b->at[k - 1];
	if (!x) {
		if (b->n == b->cap) {
			size_t cap = b->cap ? 2 * b->cap : 8;
			void *more = realloc(b->at, cap * sizeof(*b->at));

			if (!more)
				return -ENOMEM;
			b->at = more;
			b->cap = cap;
		}
		x = &b->at[b->n++];
		*x = (struct bits){.epoch = epoch};
	}
	for (uint32_t k = first; k < first + len; k++)
		x->word[k / 64] |= 1ull << k % 64;
	return 0;
}

/* What an inode version says at a point: NULL if it is not there (never made, or nlink 0 and not
 * open). */
static const struct cow_inode_rec *inode_at(const struct pass *w, uint64_t epoch)
{
	size_t k = newest_at(&w->inode, epoch);
	bool open = w->orphan && epoch == w->p->head;

	return k < w->inode.n && (w->recs[k].attr.nlink || open) ? &w->recs[k] : NULL;
}

static cow_errno add_origin(struct bitset *b, const struct cow_inode_rec *i, uint64_t chunk)
{
	uint64_t first = chunk * COW_CHUNK_BLOCKS;

	if (!i->origin_epoch || i->origin_blocks <= first)
		return 0;
	return set_bits(b, i->origin_epoch, 0,
			(uint32_t)COW_MIN(i->origin_blocks - first, (uint64_t)COW_CHUNK_BLOCKS));
}

static cow_errno add_version(struct bitset *b, const struct version *v)
{
	CLEANUP_FREE struct cow_chunk_rec *rec = malloc(sizeof(*rec));
	cow_errno r = rec ? cow_chunk_decode(v->val.data, v->val.len, rec) : -ENOMEM;

	for (uint32_t k = 0; r == 0 && k < rec->n; k++)
		if (rec->run[k].epoch)
			r = set_bits(b, rec->run[k].epoch, rec->run[k].start, rec->run[k].len);
	return r;
}

static int emit(const struct pass *w, const struct bitset *b, uint64_t ino, uint64_t chunk)
{
	int r = 0;

	for (size_t k = 0; r == 0 && w->sink->block && k < b->n; k++)
		r = w->sink->block(b->at[k].epoch, ino, chunk, b->at[k].word, w->sink->arg);
	return r;
}

static uint64_t ino_of(const struct pass *w)
{
	return cow_key_number(w->inode.at[0].key.data, 1);
}

/* Origin blocks of chunks [next_chunk, end) that have no chunk record at all. */
static int emit_origins(struct pass *w, uint64_t end)
{
	uint64_t last = 0;
	int r = 0;

	for (size_t k = 0; k < w->inode.n; k++)
		if (w->recs[k].origin_epoch)
			last = COW_MAX(last, w->recs[k].origin_blocks);
	last = COW_MIN(end, (last + COW_CHUNK_BLOCKS - 1) / COW_CHUNK_BLOCKS);
	for (; r == 0 && w->next_chunk < last; w->next_chunk++) {
		struct bitset b = {0};

		for (size_t k = 0; r == 0 && k < w->p->n; k++) {
			const struct cow_inode_rec *i = inode_at(w, w->p->at[k]);

			r = i ? add_origin(&b, i, w->next_chunk) : 0;
		}
		for (size_t k = 0; r == 0 && k < w->inode.n; k++)
			if (w->p->head && w->inode.at[k].epoch > w->p->head)
				r = add_origin(&b, &w->recs[k], w->next_chunk);
		if (r == 0)
			r = emit(w, &b, ino_of(w), w->next_chunk);
		free(b.at);
	}
	return r;
}

static int finish_chunk(struct pass *w)
{
	const struct versions *v = &w->group;
	uint64_t chunk = cow_key_number(v->at[0].key.data, 2);
	CLEANUP_FREE bool *keep = calloc(v->n, sizeof(*keep));
	struct bitset b = {0};
	int r = keep ? emit_origins(w, chunk) : -ENOMEM;

	for (size_t k = 0; r == 0 && k < v->n; k++)
		keep[k] = w->p->head && v->at[k].epoch > w->p->head;
	for (size_t k = 0; r == 0 && k < w->p->n; k++) {
		const struct cow_inode_rec *i = inode_at(w, w->p->at[k]);
		size_t at = newest_at(v, w->p->at[k]);

		if (!i)
			continue;
		if (at < v->n)
			keep[at] = true;
		else
			r = add_origin(&b, i, chunk);
	}
	for (size_t k = 0; r == 0 && k < v->n; k++)
		if (keep[k])
			r = add_version(&b, &v->at[k]);
	if (r == 0)
		r = emit(w, &b, ino_of(w), chunk);
	if (r == 0)
		r = report_dead(w, v, keep);
	w->next_chunk = chunk + 1;
	free(b.at);
	return r;
}

/* --- inodes, each with its chunks --- */

static void release_recs(struct cow_inode_rec *recs, size_t n)
{
	for (size_t k = 0; recs && k < n; k++)
		cow_inode_release(&recs[k]);
	free(recs);
}

static int walk_chunks(struct pass *w)
{
	struct cow_key k = cow_key_type2('C', w->lineage, ino_of(w));
	struct pass sub = *w;
	int r;

	sub.group = (struct versions){0};
	sub.finish = finish_chunk;
	sub.next_chunk = 0;
	r = w->s->kv->ops->scan(w->s->kv, k.b, k.len, NULL, 0, add, &sub);
	if (r == 0)
		r = flush(&sub);
	if (r == 0)
		r = emit_origins(&sub, UINT64_MAX);
	versions_release(&sub.group);
	return r;
}

static bool is_orphan(const struct pass *w)
{
	CLEANUP(cow_buf_release) struct cow_buf v = {0};
	struct cow_key k = cow_key_orphan(w->lineage, cow_key_number(w->group.at[0].key.data, 1));

	return cow_kv_get(w->s->kv, k.b, k.len, &v) == 0;
}

static int finish_inode(struct pass *w)
{
	CLEANUP_FREE bool *keep = calloc(w->group.n, sizeof(*keep));
	int r = 0;

	w->recs = calloc(w->group.n, sizeof(*w->recs));
	if (!keep || !w->recs)
		r = -ENOMEM;
	for (size_t k = 0; r == 0 && k < w->group.n; k++)
		r = cow_inode_decode(w->group.at[k].val.data, w->group.at[k].val.len, &w->recs[k]);
	if (r == 0) {
		w->inode = w->group;
		w->orphan = w->p->head && !w->recs[0].attr.nlink && is_orphan(w);
		mark_kept(w, &w->group, keep);
		/* An end with nothing older to end is garbage itself. */
		for (size_t k = w->group.n;
		     k > 0 && !w->orphan && (!keep[k - 1] || !w->recs[k - 1].attr.nlink); k--)
			keep[k - 1] = w->p->head && w->group.at[k - 1].epoch >= w->p->head;
		r = S_ISREG(w->recs[0].attr.mode) ? walk_chunks(w) : 0;
	}
	if (r == 0)
		r = report_dead(w, &w->group, keep);
	release_recs(w->recs, w->group.n);
	w->recs = NULL;
	return r;
}

static int walk(struct pass *w, char type, int (*finish)(struct pass *))
{
	struct cow_key k = cow_key_type1(type, w->lineage);
	int r;

	w->finish = finish;
	r = w->s->kv->ops->scan(w->s->kv, k.b, k.len, NULL, 0, add, w);
	if (r == 0)
		r = flush(w);
	versions_clear(&w->group);
	return r;
}

int cow_needs(struct cow_store *s, uint64_t lineage, const struct cow_needs_points *p,
	      const struct cow_needs_sink *sink)
{
	struct pass w = {.s = s, .p = p, .sink = sink, .lineage = lineage};
	int r = walk(&w, 'I', finish_inode);

	if (r == 0 && sink->dead)
		r = walk(&w, 'N', finish_names);
	versions_release(&w.group);
	return r;
}
