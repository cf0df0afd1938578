// SPDX-License-Identifier: Apache-2.0
/* inode: attributes and life of one inode of a live branch.
 *
 * An inode is read from every lineage of the chain that has a record of it: the newest one gives
 * the attributes, all of them together the levels that its blocks are resolved through. A lineage
 * has chunk records of an inode only if it has a record of the inode itself, so lineages without
 * one are never asked again; touched.h knows which those are. */
#include "store/inode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/core.h"
#include "store/log.h"
#include "store/touched.h"

struct timespec cow_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now;
}

cow_errno cow_inode_record(struct cow_store *s, struct cow_point at, uint64_t ino,
			   struct cow_inode_rec *ret)
{
	CLEANUP(cow_buf_release) struct cow_buf key = {0};
	CLEANUP(cow_buf_release) struct cow_buf val = {0};
	struct cow_key k = cow_key_inode(at.lineage, ino, at.epoch);
	cow_errno r = s->kv->ops->seek(s->kv, k.b, k.len, k.prefix, &key, &val);

	return r < 0 ? r : cow_inode_decode(val.data, val.len, ret);
}

static cow_errno add_level(struct cow_inode *i, struct cow_point at, const struct cow_inode_rec *v)
{
	struct cow_level *more = realloc(i->levels, (i->n_levels + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	i->levels = more;
	more[i->n_levels++] = (struct cow_level){
	    .at = at,
	    .limit = v->limit,
	    .origin_epoch = v->origin_epoch,
	    .origin_blocks = v->origin_blocks,
	};
	return 0;
}

static const struct cow_inode_rec nothing = {.limit = COW_NO_LIMIT};

/* The newest record: attributes. `k` is its place in the chain. */
static cow_errno take_newest(struct cow_inode *i, struct cow_inode_rec *v, uint32_t k)
{
	cow_errno r = 0;

	i->attr = v->attr;
	i->attr.ino = i->ino;
	i->target = TAKE_PTR(v->target);
	i->has_record = k == 0;
	i->rec_flags = k == 0 ? v->flags : 0;
	if (k > 0)
		r = add_level(i, cow_chain_at(i->live, 0), &nothing);
	i->disk_size = v->attr.size;
	i->disk_blocks = i->told_blocks = v->attr.blocks;
	i->disk_limit = k == 0 ? v->limit : COW_NO_LIMIT;
	i->disk_origin = k == 0 ? v->origin_blocks : 0;
	return r;
}

static cow_errno load(struct cow_inode *i)
{
	struct cow_live *l = i->live;
	uint32_t mark = cow_mark_inode(i->ino);

	for (uint32_t k = 0; k < l->n_chain; k++) {
		CLEANUP(cow_inode_release) struct cow_inode_rec v = {0};
		cow_errno r = -ENOENT;
		bool last;

		if (cow_touched_may_have(l->chain[k].touched, mark))
			r = cow_inode_record(l->s, cow_chain_at(l, k), i->ino, &v);
		if (r == -ENOENT)
			continue;
		if (r == 0 && i->n_levels == 0)
			r = take_newest(i, &v, k);
		if (r == 0)
			r = add_level(i, cow_chain_at(l, k), &v);
		if (r < 0)
			return r;
		last = (v.flags & COW_INODE_BORN) || v.limit == 0 || !S_ISREG(v.attr.mode);
		if (last)
			break;
	}
	return i->n_levels ? 0 : -ENOENT;
}

static struct cow_inode *inode_new(struct cow_live *l, uint64_t ino)
{
	struct cow_inode *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->live = cow_live_ref(l);
	i->ino = ino;
	i->refs = 1;
	i->own_run = 1;
	pthread_rwlock_init(&i->io, NULL);
	pthread_mutex_init(&i->own, NULL);
	pthread_mutex_init(&i->commit, NULL);
	pthread_mutex_init(&i->map, NULL);
	return i;
}

static void inode_free(struct cow_inode *i)
{
	cow_chunks_free(i);
	pthread_rwlock_destroy(&i->io);
	pthread_mutex_destroy(&i->own);
	pthread_mutex_destroy(&i->commit);
	pthread_mutex_destroy(&i->map);
	free(i->levels);
	free(i->target);
	i->live->s->inodes_freed++;
	cow_live_put(i->live);
	free(i);
}

/* table held */
static struct cow_inode **slot(struct cow_live *l, uint64_t ino)
{
	struct cow_inode **at = &l->buckets[(ino * 0x9e3779b97f4a7c15u >> 40) & (l->n_buckets - 1)];

	while (*at && (*at)->ino != ino)
		at = &(*at)->next;
	return at;
}

static void grow(struct cow_live *l)
{
	struct cow_inode **old = l->buckets, **buckets;
	uint32_t n = l->n_buckets;

	buckets = calloc((size_t)n * 4, sizeof(*buckets));
	if (!buckets)
		return; /* longer chains, nothing worse */
	l->buckets = buckets;
	l->n_buckets = n * 4;
	for (uint32_t k = 0; k < n; k++) {
		for (struct cow_inode *i = old[k], *next; i; i = next) {
			struct cow_inode **at = slot(l, i->ino);

			next = i->next;
			i->next = NULL;
			*at = i;
		}
	}
	free(old);
}

/* Put `i` into the table unless somebody was faster: then *ret is theirs and `i` is freed.
 * -EAGAIN (and `i` is freed): an inode left the table since `seen`, so what was loaded may be old.
 */
static cow_errno publish(struct cow_live *l, struct cow_inode *i, uint64_t seen,
			 struct cow_inode **ret)
{
	struct cow_inode **at;
	bool again = false;

	pthread_mutex_lock(&l->table);
	at = slot(l, i->ino);
	if ((*ret = *at)) {
		(*ret)->refs++;
	} else if (!(again = l->forgotten != seen)) {
		*ret = *at = i;
		if (++l->n_inodes > 2 * l->n_buckets)
			grow(l);
	}
	pthread_mutex_unlock(&l->table);
	if (*ret != i)
		inode_free(i);
	return again ? -EAGAIN : 0;
}

/* In the table (reference taken) or NULL; *ret_seen for _publish. */
static struct cow_inode *in_table(struct cow_live *l, uint64_t ino, uint64_t *ret_seen)
{
	struct cow_inode *i;
	WITH_LOCK(&l->table);

	*ret_seen = l->forgotten;
	i = *slot(l, ino);
	if (i)
		i->refs++;
	return i;
}

cow_errno cow_inode_get(struct cow_live *l, uint64_t ino, struct cow_inode **ret)
{
	cow_errno r;

	if (l->stale)
		return -ESTALE;
	do {
		uint64_t seen;
		struct cow_inode *i = in_table(l, ino, &seen);

		if (i) {
			*ret = i;
			return 0;
		}
		if (!(i = inode_new(l, ino)))
			return -ENOMEM;
		/* Without a lock: whoever changes the record has the inode in the table. */
		r = load(i);
		if (r == 0 && i->attr.nlink == 0)
			r = -ENOENT;
		if (r < 0) {
			inode_free(i);
			return r;
		}
		i->poisoned = cow_inode_on_record(l, ino);
		r = publish(l, i, seen, ret);
	} while (r == -EAGAIN);
	return r;
}

cow_errno cow_inode_make(struct cow_live *l, uint64_t ino, const struct cow_name_create *how,
			 struct cow_inode **ret)
{
	struct cow_inode *i = inode_new(l, ino);
	cow_errno r;

	if (!i)
		return -ENOMEM;
	i->attr = (struct cow_attr){
	    .ino = ino,
	    .mode = how->mode,
	    .uid = how->uid,
	    .gid = how->gid,
	    .rdev = how->rdev,
	    .nlink = S_ISDIR(how->mode) ? 2 : 1,
	    .size = how->target ? strlen(how->target) : 0,
	};
	i->attr.atime = i->attr.mtime = i->attr.ctime = cow_now();
	i->disk_size = i->attr.size;
	i->disk_limit = COW_NO_LIMIT;
	i->rec_flags = COW_INODE_BORN;
	i->target = how->target ? strdup(how->target) : NULL;
	r = how->target && !i->target ? -ENOMEM : add_level(i, cow_chain_at(l, 0), &nothing);
	if (r < 0) {
		inode_free(i);
		return r;
	}
	pthread_mutex_lock(&l->table); /* a new number: nobody else has it */
	*slot(l, ino) = i;
	if (++l->n_inodes > 2 * l->n_buckets)
		grow(l);
	pthread_mutex_unlock(&l->table);
	*ret = i;
	return 0;
}

struct cow_inode *cow_inode_ref(struct cow_inode *i)
{
	WITH_LOCK(&i->live->table);

	i->refs++;
	return i;
}

void cow_inode_put(struct cow_inode *i)
{
	struct cow_live *l;
	bool last;

	if (!i)
		return;
	l = i->live;
	pthread_mutex_lock(&l->table);
	last = --i->refs == 0;
	if (last) {
		*slot(l, i->ino) = i->next;
		l->n_inodes--;
		l->forgotten++;
	}
	pthread_mutex_unlock(&l->table);
	if (last)
		inode_free(i);
}

uint64_t cow_inode_number(const struct cow_inode *i)
{
	return i->ino;
}

struct cow_live *cow_inode_live(const struct cow_inode *i)
{
	return i->live;
}

void cow_inode_attr(struct cow_inode *i, struct cow_attr *ret)
{
	WITH_LOCK(&i->map);

	*ret = i->attr;
}

bool cow_inode_blocks_moved(struct cow_inode *i)
{
	bool moved;
	WITH_LOCK(&i->map);

	moved = i->told_blocks != i->attr.blocks;
	i->told_blocks = i->attr.blocks;
	return moved;
}

void cow_inode_touch(struct cow_inode *i)
{
	i->attr.mtime = i->attr.ctime = cow_now();
	i->dirty |= COW_DIRTY_TIME;
}

/* The list holds a reference; it is taken under map so that a commit, which takes the inode off
 * under map, finds it there. */
void cow_inode_mark(struct cow_inode *i, unsigned dirty)
{
	struct cow_live *l = i->live;

	i->dirty |= dirty;
	if (i->on_dirty)
		return;
	i->on_dirty = true;
	cow_inode_ref(i);
	pthread_mutex_lock(&l->dirty_lock);
	TAILQ_INSERT_TAIL(&l->dirty, i, dirty_entry);
	pthread_mutex_unlock(&l->dirty_lock);
}

void cow_inode_unmark(struct cow_inode *i)
{
	struct cow_live *l = i->live;
	bool off = false;

	pthread_mutex_lock(&i->map);
	if (i->on_dirty && i->dirty == 0 && !l->stale) {
		pthread_mutex_lock(&l->dirty_lock);
		TAILQ_REMOVE(&l->dirty, i, dirty_entry);
		pthread_mutex_unlock(&l->dirty_lock);
		i->on_dirty = false;
		off = true;
	}
	pthread_mutex_unlock(&i->map);
	if (off)
		cow_inode_put(i);
}

cow_errno cow_inode_check(struct cow_inode *i, bool modify)
{
	if (i->live->stale)
		return -ESTALE;
	if (!modify)
		return 0;
	if (i->live->readonly || i->live->lost)
		return -EROFS;
	return i->poisoned ? -EIO : 0;
}

bool cow_inode_on_record(struct cow_live *l, uint64_t ino)
{
	CLEANUP(cow_buf_release) struct cow_buf v = {0};
	struct cow_key k = cow_key_poison(l->chain[0].lineage, ino);

	return l->poisoned && cow_kv_get(l->s->kv, k.b, k.len, &v) == 0;
}

/* The record says so durably if that is still possible; in memory it holds in any case (rule 5). */
void cow_inode_poison(struct cow_inode *i, cow_errno why)
{
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	struct cow_key k = cow_key_poison(i->live->chain[0].lineage, i->ino);

	if (atomic_exchange(&i->poisoned, true))
		return;
	i->live->poisoned = true;
	cow_log_error(
	    "inode %llu of lineage %llu: %s: no further write or fsync of it will succeed "
	    "until the branch is recovered",
	    (unsigned long long)i->ino, (unsigned long long)i->live->chain[0].lineage,
	    strerror(-why));
	cow_batch_put(&b, k.b, k.len, "", 0);
	if (cow_store_commit(i->live->s, &b) < 0)
		cow_log_error("and that could not be recorded: the map cannot be written");
}

void cow_inode_put_record(struct cow_inode *i, struct cow_batch *b)
{
	CLEANUP(cow_buf_release) struct cow_buf bytes = {0};
	struct cow_key k = cow_key_inode(i->live->chain[0].lineage, i->ino, cow_head(i->live));
	struct cow_inode_rec v = {
	    .attr = i->attr,
	    .flags = i->rec_flags,
	    .limit = i->disk_limit,
	    .origin_epoch = i->levels[0].origin_epoch,
	    .origin_blocks = i->disk_origin,
	    .target = i->target,
	};

	if (S_ISREG(i->attr.mode)) {
		v.attr.size = i->disk_size;
		v.attr.blocks = i->disk_blocks;
	}
	cow_touched_add(i->live->chain[0].touched, cow_mark_inode(i->ino));
	if (cow_inode_encode(&v, &bytes) < 0)
		b->failed = -ENOMEM;
	else
		cow_batch_put(b, k.b, k.len, bytes.data, bytes.len);
	i->has_record = true;
	i->live->head_written = true;
}

void cow_inode_set_own_run(struct cow_inode *i, uint32_t blocks)
{
	WITH_LOCK(&i->map);

	i->own_run = COW_MAX(1u, COW_MIN(blocks, COW_CHUNK_BLOCKS));
}

cow_errno cow_inode_open(struct cow_inode *i, bool writer)
{
	cow_errno r = cow_inode_check(i, false);

	if (r < 0 || (writer && (i->live->readonly || i->live->lost)))
		return r < 0 ? r : -EROFS;
	{
		/* Against unlink, which drops what nobody has open: such a file is gone. */
		WITH_SHARED(&i->live->names);
		if (i->attr.nlink == 0 && i->opens == 0)
			return -ESTALE;
		atomic_fetch_add(&i->opens, 1);
	}
	atomic_fetch_add(&i->live->opens, 1);
	if (writer)
		atomic_fetch_add(&i->live->writers, 1);
	return 0;
}

void cow_inode_close(struct cow_inode *i, bool writer)
{
	struct cow_live *l = i->live;
	bool last;

	{
		/* Against unlink, which asks whether the file is open. */
		WITH_SHARED(&l->freeze);
		WITH_EXCLUSIVE(&l->names);
		last = atomic_fetch_sub(&i->opens, 1) == 1 && i->attr.nlink == 0;
		if (last && !l->stale && !l->readonly)
			cow_inode_drop(i);
	}
	atomic_fetch_sub(&l->opens, 1);
	if (writer)
		atomic_fetch_sub(&l->writers, 1);
}
