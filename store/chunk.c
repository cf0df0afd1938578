// SPDX-License-Identifier: Apache-2.0
/* chunk: where the blocks of a file are, resolved through the chain once per chunk.
 *
 * A resolved chunk is an array of 1,024 small integers, each naming a source (a lineage and epoch,
 * whose extent file has the block) or a hole; a chunk whose blocks all come from one place has no
 * array at all. What is dirty stays in memory until its record is committed; the rest can be
 * evicted at any time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/core.h"
#include "store/log.h"

enum { ARRAY_BYTES = COW_CHUNK_BLOCKS * sizeof(uint16_t), SOURCES_MAX = 65000 };

/* While resolving: not decided yet. Never leaves this file. */
#define UNDECIDED UINT16_MAX

uint16_t cow_chunk_src(const struct cow_chunk *c, uint32_t block)
{
	return c->src ? c->src[block] : c->uniform;
}

bool cow_src_is_own(const struct cow_inode *i, uint16_t src)
{
	return src == COW_SRC_ZERO ||
	       (src >= COW_SRC_FIRST &&
		i->sources[src - COW_SRC_FIRST].at.lineage == i->live->chain[0].lineage);
}

cow_errno cow_source_add(struct cow_inode *i, struct cow_point at, uint16_t *ret)
{
	cow_errno r;

	/* From the end: the newest sources are asked for most. */
	for (uint32_t k = i->n_sources; k > 0; k--) {
		if (i->sources[k - 1].at.epoch == at.epoch &&
		    i->sources[k - 1].at.lineage == at.lineage) {
			*ret = (uint16_t)(COW_SRC_FIRST + k - 1);
			return 0;
		}
	}
	if (i->n_sources == SOURCES_MAX)
		return -EOVERFLOW;
	if (i->n_sources == i->cap_sources) {
		uint32_t cap = i->cap_sources ? 2 * i->cap_sources : 4;
		struct cow_source *more = realloc(i->sources, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		i->sources = more;
		i->cap_sources = cap;
	}
	i->sources[i->n_sources].at = at;
	r = cow_extent_get(i->live->s->extents, at.lineage, at.epoch, i->ino,
			   &i->sources[i->n_sources].x);
	if (r < 0)
		return r;
	*ret = (uint16_t)(COW_SRC_FIRST + i->n_sources++);
	return 0;
}

static void fill(uint16_t *src, uint32_t first, uint32_t end, uint16_t v)
{
	for (uint32_t k = first; k < end; k++)
		if (src[k] == UNDECIDED)
			src[k] = v;
}

/* What a chunk record of one level decides. Zeroes of a lower lineage are just holes to us. */
static cow_errno apply_record(struct cow_inode *i, const struct cow_level *level, bool own,
			      const struct cow_chunk_rec *rec, uint32_t end, uint16_t *src)
{
	for (uint32_t k = 0; k < rec->n && rec->run[k].start < end; k++) {
		const struct cow_run *run = &rec->run[k];
		uint16_t v = own ? COW_SRC_ZERO : COW_SRC_HOLE;
		cow_errno r = 0;

		if (run->epoch)
			r = cow_source_add(i, (struct cow_point){level->at.lineage, run->epoch},
					   &v);
		if (r < 0)
			return r;
		fill(src, run->start, COW_MIN(run->start + run->len, end), v);
	}
	return 0;
}

/* Blocks of the chunk that lie below `limit` (a block number of the file). */
static uint32_t below(uint64_t limit, uint64_t chunk)
{
	uint64_t first = chunk * COW_CHUNK_BLOCKS;

	return limit <= first ? 0 : (uint32_t)COW_MIN(limit - first, (uint64_t)COW_CHUNK_BLOCKS);
}

static cow_errno read_record(struct cow_store *s, const struct cow_level *level, uint64_t ino,
			     uint64_t chunk, struct cow_chunk_rec *rec)
{
	CLEANUP(cow_buf_release) struct cow_buf key = {0};
	CLEANUP(cow_buf_release) struct cow_buf val = {0};
	struct cow_key k = cow_key_chunk(level->at.lineage, ino, chunk, level->at.epoch);
	cow_errno r = s->kv->ops->seek(s->kv, k.b, k.len, k.prefix, &key, &val);

	return r < 0 ? r : cow_chunk_decode(val.data, val.len, rec);
}

/* A copy of what resolving needs, so that the map can be read without i->map. */
struct plan {
	uint32_t n;
	struct cow_level *levels;
	struct cow_chunk_rec **recs; /* NULL = that level has none */
};

static void plan_release(struct plan *p)
{
	for (uint32_t k = 0; p->recs && k < p->n; k++)
		free(p->recs[k]);
	free(p->recs);
	free(p->levels);
}

static cow_errno plan_read(struct cow_inode *i, uint64_t chunk, struct plan *p)
{
	CLEANUP_FREE struct cow_chunk_rec *rec = malloc(sizeof(*rec));
	uint64_t limit = COW_NO_LIMIT;

	if (!rec)
		return -ENOMEM;
	for (uint32_t k = 0; k < p->n && below(limit, chunk); k++) {
		cow_errno r = read_record(i->live->s, &p->levels[k], i->ino, chunk, rec);

		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0) {
			size_t size =
			    offsetof(struct cow_chunk_rec, run) + rec->n * sizeof(rec->run[0]);

			if (!(p->recs[k] = malloc(size)))
				return -ENOMEM;
			memcpy(p->recs[k], rec, size);
		}
		limit = COW_MIN(limit, p->levels[k].limit);
	}
	return 0;
}

/* map held again: the records decide, level by level, what is not decided yet. */
static cow_errno plan_apply(struct cow_inode *i, uint64_t chunk, const struct plan *p,
			    uint16_t *src)
{
	uint64_t limit = COW_NO_LIMIT;
	cow_errno r = 0;

	for (uint32_t k = 0; k < COW_CHUNK_BLOCKS; k++)
		src[k] = UNDECIDED;
	for (uint32_t k = 0; r == 0 && k < p->n && below(limit, chunk); k++) {
		const struct cow_level *level = &p->levels[k];
		uint32_t end = below(limit, chunk), whole;
		uint16_t v;

		if (p->recs[k])
			r = apply_record(i, level, k == 0, p->recs[k], end, src);
		whole = COW_MIN(end, below(level->origin_blocks, chunk));
		if (r == 0 && level->origin_epoch && whole) {
			r = cow_source_add(
			    i, (struct cow_point){level->at.lineage, level->origin_epoch}, &v);
			if (r == 0)
				fill(src, 0, whole, v);
		}
		limit = COW_MIN(limit, level->limit);
	}
	fill(src, 0, COW_CHUNK_BLOCKS, COW_SRC_HOLE);
	return r;
}

static bool is_uniform(const uint16_t *src)
{
	return memcmp(src, src + 1, ARRAY_BYTES - sizeof(*src)) == 0;
}

static cow_errno insert(struct cow_inode *i, uint64_t chunk, const uint16_t *src,
			struct cow_chunk **ret)
{
	struct cow_chunk *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->uniform = src[0];
	if (!is_uniform(src)) {
		if (!(c->src = malloc(ARRAY_BYTES))) {
			free(c);
			return -ENOMEM;
		}
		memcpy(c->src, src, ARRAY_BYTES);
		atomic_fetch_add(&i->live->s->cached_bytes, ARRAY_BYTES);
	}
	i->chunks[chunk] = c;
	*ret = c;
	if (cow_compact_is_due(i, c))
		cow_compact_later(i, chunk);
	return 0;
}

static cow_errno room_for(struct cow_inode *i, uint64_t chunk)
{
	uint64_t n = COW_MAX(4u, i->n_chunks);
	struct cow_chunk **more;

	if (chunk < i->n_chunks)
		return 0;
	if (chunk > COW_FILE_MAX / COW_BLOCK / COW_CHUNK_BLOCKS)
		return -EIO; /* no file is so long: a damaged record */
	while (n <= chunk)
		n *= 2;
	more = realloc(i->chunks, n * sizeof(*more));
	if (!more)
		return -ENOMEM;
	memset(more + i->n_chunks, 0, (n - i->n_chunks) * sizeof(*more));
	i->chunks = more;
	i->n_chunks = (uint32_t)n;
	return 0;
}

static cow_errno resolve(struct cow_inode *i, uint64_t chunk, struct cow_chunk **ret)
{
	CLEANUP(plan_release) struct plan p = {.n = i->n_levels};
	uint16_t src[COW_CHUNK_BLOCKS];
	uint32_t seq = i->load_seq;
	cow_errno r;

	p.levels = malloc(p.n * sizeof(*p.levels));
	p.recs = calloc(p.n, sizeof(*p.recs));
	if (!p.levels || !p.recs)
		return -ENOMEM;
	memcpy(p.levels, i->levels, p.n * sizeof(*p.levels));
	p.levels[0].at = cow_chain_at(i->live, 0);
	pthread_mutex_unlock(&i->map);
	r = plan_read(i, chunk, &p);
	pthread_mutex_lock(&i->map);
	if (r < 0 || seq != i->load_seq || i->chunks[chunk])
		return r; /* somebody was faster, or what was read may be old: look again */
	r = plan_apply(i, chunk, &p, src);
	return r < 0 ? r : insert(i, chunk, src, ret);
}

cow_errno cow_chunk_get(struct cow_inode *i, uint64_t chunk, struct cow_chunk **ret)
{
	cow_errno r = room_for(i, chunk);

	while (r == 0) {
		if (i->chunks[chunk]) {
			*ret = i->chunks[chunk];
			(*ret)->used = true;
			return 0;
		}
		r = resolve(i, chunk, ret);
	}
	if (r == -EIO)
		cow_log_error("damaged map: inode %llu chunk %llu of lineage %llu",
			      (unsigned long long)i->ino, (unsigned long long)chunk,
			      (unsigned long long)i->live->chain[0].lineage);
	return r;
}

cow_errno cow_chunk_set(struct cow_inode *i, struct cow_chunk *c, uint32_t first, uint32_t n,
			uint16_t src)
{
	if (!c->src) {
		if (c->uniform == src)
			return 0;
		if (!(c->src = malloc(ARRAY_BYTES)))
			return -ENOMEM;
		for (uint32_t k = 0; k < COW_CHUNK_BLOCKS; k++)
			c->src[k] = c->uniform;
		atomic_fetch_add(&i->live->s->cached_bytes, ARRAY_BYTES);
	}
	for (uint32_t k = first; k < first + n; k++)
		c->src[k] = src;
	return 0;
}

void cow_chunk_put_record(struct cow_inode *i, uint64_t chunk, const struct cow_chunk *c,
			  struct cow_batch *b)
{
	CLEANUP_FREE struct cow_chunk_rec *rec = malloc(sizeof(*rec));
	CLEANUP(cow_buf_release) struct cow_buf bytes = {0};
	struct cow_key k =
	    cow_key_chunk(i->live->chain[0].lineage, i->ino, chunk, cow_head(i->live));
	uint32_t at = 0;

	if (!rec) {
		b->failed = -ENOMEM;
		return;
	}
	for (rec->n = 0; at < COW_CHUNK_BLOCKS;) {
		uint16_t src = cow_chunk_src(c, at);
		uint32_t end = at + 1;

		while (end < COW_CHUNK_BLOCKS && cow_chunk_src(c, end) == src)
			end++;
		if (cow_src_is_own(i, src))
			rec->run[rec->n++] = (struct cow_run){
			    .start = at,
			    .len = end - at,
			    .epoch =
				src == COW_SRC_ZERO ? 0 : i->sources[src - COW_SRC_FIRST].at.epoch,
			};
		at = end;
	}
	if (cow_chunk_encode(rec, &bytes) < 0)
		b->failed = -ENOMEM;
	else
		cow_batch_put(b, k.b, k.len, bytes.data, bytes.len);
}

/* Chunks that some record is about, the same one more than once perhaps. */
struct chunk_list {
	uint64_t *at;
	size_t n;
};

static cow_errno list_add(struct chunk_list *l, uint64_t chunk)
{
	uint64_t *more;

	if (l->n && l->at[l->n - 1] == chunk)
		return 0;
	if ((l->n & (l->n - 1)) == 0) {
		more = realloc(l->at, (l->n ? 2 * l->n : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->at = more;
	}
	l->at[l->n++] = chunk;
	return 0;
}

static int add_recorded(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	return klen == 33 ? list_add(arg, cow_key_number(key, 2)) : -EIO;
}

/* Everything at or past chunk `first` that can hold a block, of the uppermost `n` levels: a sparse
 * file may be a million times as long as what is in it. io is held, so the levels stay. */
static cow_errno list_chunks(struct cow_inode *i, uint64_t first, uint32_t n,
			     struct chunk_list *ret)
{
	struct cow_kv *kv = i->live->s->kv;
	bool own = i->has_record;
	uint64_t origin = 0;
	int r = 0;

	pthread_mutex_unlock(&i->map);
	for (uint32_t k = 0; r == 0 && k < n; k++) {
		const struct cow_level *level = &i->levels[k];
		struct cow_key from = cow_key_chunk(level->at.lineage, i->ino, first, UINT64_MAX);

		origin = COW_MAX(origin, level->origin_blocks);
		if (k > 0 || own)
			r = kv->ops->scan(kv, from.b, 17, from.b, from.len, add_recorded, ret);
	}
	pthread_mutex_lock(&i->map);
	origin = COW_MIN(origin, cow_blocks_of(i->attr.size));
	for (uint64_t c = first; r == 0 && c * COW_CHUNK_BLOCKS < origin; c++)
		r = list_add(ret, c);
	return r;
}

static uint64_t own_of(const struct cow_inode *i, const struct cow_chunk *c)
{
	uint64_t n = 0;

	for (uint32_t k = 0; k < COW_CHUNK_BLOCKS; k++) {
		uint16_t src = cow_chunk_src(c, k);

		n += src >= COW_SRC_FIRST && cow_src_is_own(i, src);
	}
	return n;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* In this order: what a commit writes out meanwhile may be evicted, but then it has a record. */
cow_errno cow_chunks_list_own(struct cow_inode *i, uint64_t first, uint64_t **ret, size_t *ret_n)
{
	struct chunk_list l = {0};
	size_t n = 0;
	cow_errno r = 0;

	for (uint64_t c = first; r == 0 && c < i->n_chunks; c++)
		if (i->chunks[c])
			r = list_add(&l, c);
	if (r == 0)
		r = list_chunks(i, first, 1, &l);
	if (l.n)
		qsort(l.at, l.n, sizeof(*l.at), by_number);
	for (size_t k = 0; k < l.n; k++)
		if (n == 0 || l.at[k] != l.at[n - 1])
			l.at[n++] = l.at[k];
	*ret = l.at;
	*ret_n = n;
	return r;
}

uint64_t cow_chunks_own(struct cow_inode *i)
{
	CLEANUP_FREE uint64_t *list = NULL;
	struct cow_chunk *c;
	uint64_t count = 0;
	size_t n = 0;
	cow_errno r = cow_chunks_list_own(i, 0, &list, &n);

	for (size_t k = 0; r == 0 && k < n; k++)
		if ((r = cow_chunk_get(i, list[k], &c)) == 0)
			count += own_of(i, c);
	return count;
}

/* Blocks of the chunk from `at` on become holes. */
static cow_errno cut_chunk(struct cow_inode *i, struct cow_chunk *c, uint32_t at)
{
	int64_t own = 0;

	for (uint32_t k = at; k < COW_CHUNK_BLOCKS; k++) {
		uint16_t src = cow_chunk_src(c, k);

		own += src >= COW_SRC_FIRST && cow_src_is_own(i, src);
		c->dirty = c->dirty || cow_src_is_own(i, src);
		i->attr.blocks -= src < COW_SRC_FIRST ? 0 : COW_BLOCK_SECTORS;
	}
	cow_quota_add(i->live, -own);
	if (c->dirty)
		i->dirty |= COW_DIRTY_MAP;
	if (at > 0)
		return cow_chunk_set(i, c, at, COW_CHUNK_BLOCKS - at, COW_SRC_HOLE);
	if (c->src) {
		free(TAKE_PTR(c->src));
		atomic_fetch_sub(&i->live->s->cached_bytes, ARRAY_BYTES);
	}
	c->uniform = COW_SRC_HOLE;
	return 0;
}

cow_errno cow_chunks_cut(struct cow_inode *i, uint64_t block)
{
	uint64_t first = block / COW_CHUNK_BLOCKS;
	uint32_t at = (uint32_t)(block % COW_CHUNK_BLOCKS);
	CLEANUP_FREE uint64_t *list = NULL;
	struct chunk_list l = {0};
	struct cow_chunk *c;
	/* Of a file cut to nothing it is known what is left; else what lies below is counted. */
	cow_errno r = list_chunks(i, first, block == 0 ? 1 : i->n_levels, &l);

	list = l.at;
	for (size_t k = 0; r == 0 && k < l.n; k++)
		r = cow_chunk_get(i, l.at[k], &c);
	/* Nothing was changed so far. Once more, for a chunk may be evicted while another loads. */
	for (size_t k = 0; r == 0 && k < l.n; k++)
		if ((r = cow_chunk_get(i, l.at[k], &c)) == 0)
			r = cut_chunk(i, c, l.at[k] == first ? at : 0);
	for (uint64_t n = first; r == 0 && n < i->n_chunks; n++)
		if (i->chunks[n])
			r = cut_chunk(i, i->chunks[n], n == first ? at : 0);
	if (r < 0)
		return r;
	if (block == 0)
		i->attr.blocks = 0;
	i->levels[0].limit = COW_MIN(i->levels[0].limit, block);
	i->levels[0].origin_blocks = COW_MIN(i->levels[0].origin_blocks, block);
	i->load_seq++;
	return 0;
}

void cow_chunks_free(struct cow_inode *i)
{
	for (uint32_t k = 0; k < i->n_chunks; k++) {
		if (!i->chunks[k])
			continue;
		if (i->chunks[k]->src)
			atomic_fetch_sub(&i->live->s->cached_bytes, ARRAY_BYTES);
		free(i->chunks[k]->src);
		free(i->chunks[k]);
	}
	free(i->chunks);
	if (i->dirty & COW_DIRTY_DATA) /* of a retired live: dropped */
		cow_extent_unpin(i->live->s->extents, i->sources[i->head_src - COW_SRC_FIRST].x);
	for (uint32_t k = 0; k < i->n_sources; k++)
		cow_extent_put(i->live->s->extents, i->sources[k].x);
	free(i->sources);
}

static void evict_inode(struct cow_inode *i)
{
	/* Against the lock order, so only if it is free; a busy inode is not the one to evict. */
	if (pthread_mutex_trylock(&i->map) != 0)
		return;
	for (uint32_t k = 0; k < i->n_chunks; k++) {
		struct cow_chunk *c = i->chunks[k];

		if (!c || !c->src || c->dirty)
			continue;
		if (c->used) {
			c->used = false;
			continue;
		}
		free(c->src);
		free(c);
		i->chunks[k] = NULL;
		i->load_seq++;
		atomic_fetch_sub(&i->live->s->cached_bytes, ARRAY_BYTES);
	}
	pthread_mutex_unlock(&i->map);
}

/* One round over everything; a chunk used since the last round is spared. */
void cow_chunks_evict(struct cow_store *s)
{
	struct cow_live *l;
	WITH_LOCK(&s->lives_lock);

	TAILQ_FOREACH (l, &s->lives, entry) {
		WITH_LOCK(&l->table);
		for (uint32_t b = 0; b < l->n_buckets; b++)
			for (struct cow_inode *i = l->buckets[b]; i; i = i->next)
				if (atomic_load(&s->cached_bytes) > s->options.cache_bytes)
					evict_inode(i);
	}
}
