// SPDX-License-Identifier: Apache-2.0
/* inode_set: changing attributes, and forgetting an inode that has no name and no user left. */
#include <errno.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/core.h"
#include "store/space.h"

/* map held */
static void set_attr(struct cow_inode *i, unsigned mask, const struct cow_attr *a)
{
	if (mask & COW_SET_MODE)
		i->attr.mode = (i->attr.mode & S_IFMT) | (a->mode & ~(uint32_t)S_IFMT);
	if (mask & COW_SET_UID)
		i->attr.uid = a->uid;
	if (mask & COW_SET_GID)
		i->attr.gid = a->gid;
	if (mask & COW_SET_ATIME)
		i->attr.atime = a->atime;
	if (mask & COW_SET_MTIME)
		i->attr.mtime = a->mtime;
	i->attr.ctime = mask & COW_SET_CTIME ? a->ctime : cow_now();
}

cow_errno cow_inode_set(struct cow_inode *i, unsigned mask, const struct cow_attr *a)
{
	const unsigned lasting = COW_SET_MODE | COW_SET_UID | COW_SET_GID;
	cow_errno r;
	WITH_SHARED(&i->live->freeze);

	if ((r = cow_inode_check(i, true)) < 0)
		return r;
	if ((mask & COW_SET_SIZE) && (r = cow_space_resize(i, a->size)) < 0)
		return r;
	pthread_mutex_lock(&i->map);
	set_attr(i, mask, a);
	/* The kernel sends times after the last close: of a file that was dropped, for nobody. */
	if (i->attr.nlink > 0 || i->opens > 0)
		cow_inode_mark(i, mask & lasting ? COW_DIRTY_META : COW_DIRTY_TIME);
	pthread_mutex_unlock(&i->map);
	i->live->head_written = true;
	return 0;
}

static int del_head_chunk(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen,
			  void *arg)
{
	struct {
		struct cow_batch *b;
		uint64_t head;
	} *d = arg;

	if (cow_key_epoch(key, klen) == d->head)
		cow_batch_del(d->b, key, klen);
	return 0;
}

/* Nobody will ask for what was written; the error of its write-back is nobody's either. */
static void discard(struct cow_inode *i)
{
	struct cow_work w = {0};

	pthread_mutex_lock(&i->map);
	cow_work_collect(i, true, &w);
	pthread_mutex_unlock(&i->map);
	if (w.data)
		cow_extent_unpin(i->live->s->extents, TAKE_PTR(w.data));
	cow_work_release(&w);
	cow_inode_unmark(i);
}

/* freeze shared and names exclusive are held, so no name can lead here again. */
cow_errno cow_inode_drop(struct cow_inode *i)
{
	struct cow_live *l = i->live;
	struct cow_point own = {l->chain[0].lineage, cow_head(l)};
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	CLEANUP(cow_inode_release) struct cow_inode_rec older = {0};
	struct cow_key rec = cow_key_inode(own.lineage, i->ino, own.epoch);
	struct cow_key orphan = cow_key_orphan(own.lineage, i->ino);
	struct cow_key chunks = cow_key_type2('C', own.lineage, i->ino);
	struct {
		struct cow_batch *b;
		uint64_t head;
	} d = {&b, own.epoch};
	cow_errno r;
	WITH_LOCK(&i->commit);

	if (l->own_known && S_ISREG(i->attr.mode)) {
		WITH_LOCK(&i->map);

		cow_quota_add(l, -(int64_t)cow_chunks_own(i));
	}
	discard(i);
	r = cow_inode_record(l->s, (struct cow_point){own.lineage, own.epoch - 1}, i->ino, &older);
	/* With an older version of this lineage, the record with nlink 0 stays and ends it for gc.
	 */
	if (r == -ENOENT) {
		cow_batch_del(&b, rec.b, rec.len);
	} else {
		WITH_LOCK(&i->map);
		cow_inode_put_record(i, &b);
	}
	cow_batch_del(&b, orphan.b, orphan.len);
	if (S_ISREG(i->attr.mode)) {
		r = l->s->kv->ops->scan(l->s->kv, chunks.b, chunks.len, NULL, 0, del_head_chunk,
					&d);
		if (r < 0)
			return r;
	}
	if ((r = cow_kv_write(l->s->kv, &b, false)) < 0)
		return r;
	cow_raise(&l->name_seq, atomic_fetch_add(&l->s->name_seq, 1) + 1);
	if (S_ISREG(i->attr.mode))
		cow_background_trim(l->s, own, i->ino, 0, UINT64_MAX);
	return 0;
}
