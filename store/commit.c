// SPDX-License-Identifier: Apache-2.0
/* commit: what fsync means (DESIGN 4.4, rules 1, 3, 5).
 *
 *   1. under freeze and map: encode what is dirty, take it off the inode
 *   2. fdatasync of the head's extent file          (data ...)
 *   3. one synced batch: chunk records, inode record  (... before map)
 *
 * Step 3 is left out when nothing in the map changed; then only names that are not durable yet
 * cost a sync. A commit of an inode that a seal is just closing waits for the seal. Commits of one
 * inode are one at a time, so an fsync that finds nothing dirty knows that it is durable, not under
 * way.
 *
 * When many files are committed for nobody in particular (background, seal), step 3 only puts the
 * batch: the map keeps the order of what is put, so one sync behind all of them does for all. Until
 * then `put_seq` of the inode says that an fsync which finds nothing dirty still has to sync. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/core.h"

void cow_work_release(struct cow_work *w)
{
	cow_batch_release(&w->batch);
}

void cow_work_collect(struct cow_inode *i, bool times, struct cow_work *ret)
{
	bool map = i->dirty & COW_DIRTY_MAP, meta = i->dirty & COW_DIRTY_META;
	bool time = times && (i->dirty & COW_DIRTY_TIME);

	if (i->dirty & COW_DIRTY_DATA)
		ret->data = i->sources[i->head_src - COW_SRC_FIRST].x; /* with its pin */
	i->dirty &= time || map || meta ? 0u : COW_DIRTY_TIME;
	for (uint32_t k = 0; map && k < i->n_chunks; k++) {
		if (!i->chunks[k] || !i->chunks[k]->dirty)
			continue;
		cow_chunk_put_record(i, k, i->chunks[k], &ret->batch);
		i->chunks[k]->dirty = false;
	}
	if (!map && !meta && !time)
		return;
	i->disk_size = i->attr.size;
	i->disk_blocks = i->attr.blocks;
	i->disk_limit = i->levels[0].limit;
	i->disk_origin = i->levels[0].origin_blocks;
	cow_inode_put_record(i, &ret->batch);
	ret->synced = map || meta;
}

static cow_errno sync_data(struct cow_inode *i, struct cow_work *w)
{
	struct cow_extents *t = i->live->s->extents;
	cow_errno r = 0;

	if (!w->data)
		return 0;
	if (!i->live->ephemeral)
		r = cow_extent_sync(t, w->data);
	cow_extent_unpin(t, TAKE_PTR(w->data));
	return r;
}

static void wait_for_seal(struct cow_inode *i)
{
	struct cow_live *l = i->live;

	pthread_mutex_lock(&l->seal_wait);
	while (atomic_load(&i->wait_seal) > l->seal_done)
		pthread_cond_wait(&l->seal_cond, &l->seal_wait);
	pthread_mutex_unlock(&l->seal_wait);
}

/* Of a file that was dropped, and marked once more by what came late (the kernel sends times after
 * the last close): off the list with it, which keeps the file's space and descriptor. Holds map. */
static void discard_late(struct cow_inode *i)
{
	CLEANUP(cow_work_release) struct cow_work w = {0};

	cow_work_collect(i, true, &w);
	if (w.data)
		cow_extent_unpin(i->live->s->extents, TAKE_PTR(w.data));
}

/* Holds commit. 1 = a seal is closing this inode's epoch: let go of everything and wait for it.
 * Needs no freeze: the switch of the head visits every dirty inode under its map lock, so what is
 * collected here is either taken before that, for the old epoch, and then the seal waits for our
 * commit lock; or after. */
static int begin(struct cow_inode *i, bool times, struct cow_work *w)
{
	WITH_LOCK(&i->map);

	if (i->live->stale)
		return -ESTALE;
	if (i->poisoned)
		return -EIO;
	if (atomic_load(&i->wait_seal) > i->live->seal_done)
		return 1;
	if (i->attr.nlink > 0) /* without a name nothing survives anyway */
		cow_work_collect(i, times, w);
	else if (i->opens == 0)
		discard_late(i);
	i->committing = w->batch.count > 0;
	return 0;
}

/* What was taken is durable, or the file is poisoned. Holds commit. */
static void end(struct cow_inode *i)
{
	pthread_mutex_lock(&i->map);
	i->committing = false;
	pthread_mutex_unlock(&i->map);
	/* Before the next commit takes work: a seal finds the files it must wait for on the list.
	 */
	cow_inode_unmark(i);
}

cow_errno cow_work_put(struct cow_inode *i, struct cow_work *w)
{
	struct cow_store *s = i->live->s;
	cow_errno r = sync_data(i, w);

	if (r < 0 || !w->batch.count)
		return r;
	r = cow_kv_write(s->kv, &w->batch, false);
	if (r == 0 && w->synced && !i->live->ephemeral)
		cow_raise(&i->put_seq, atomic_fetch_add(&s->name_seq, 1) + 1);
	return r;
}

/* What leads to the file, and what was put of it, as far as they are not durable. Holds commit. */
static cow_errno finish(struct cow_inode *i, struct cow_work *w)
{
	struct cow_live *l = i->live;
	cow_errno r;

	if (l->ephemeral || !w->batch.count || !w->synced) {
		r = cow_work_put(i, w);
	} else {
		r = sync_data(i, w);
		r = r < 0 ? r : cow_store_commit(l->s, &w->batch);
	}
	if (r == 0 && !l->ephemeral)
		r = cow_store_commit_names(
		    l->s, COW_MAX(atomic_load(&l->name_seq), atomic_load(&i->put_seq)));
	return r;
}

/* `durable`: on return it is; else everything is put, and durable with the next sync of the map. */
static cow_errno commit(struct cow_inode *i, bool times, bool durable)
{
	CLEANUP(cow_work_release) struct cow_work w = {0};
	int r = 1;

	if (i->live->readonly)
		return 0;
	while (r == 1) {
		wait_for_seal(i);
		WITH_LOCK(&i->commit); /* over the fdatasync: that is what it serialises */
		r = begin(i, times, &w);
		if (r != 0)
			continue;
		r = durable ? finish(i, &w) : cow_work_put(i, &w);
		if (r < 0)
			cow_inode_poison(i, r);
		end(i);
		return r < 0 ? -EIO : 0;
	}
	return r;
}

cow_errno cow_inode_commit(struct cow_inode *i, bool times)
{
	return commit(i, times, true);
}

/* --- many files at once --- */

enum { MANY = 256, AT_ONCE = 1024 };

static int by_number(const void *a, const void *b)
{
	uint64_t x = (*(struct cow_inode *const *)a)->ino, y = (*(struct cow_inode *const *)b)->ino;

	return (x > y) - (x < y);
}

static void poison_all(struct cow_inode **list, size_t n, cow_errno why)
{
	for (size_t k = 0; k < n; k++)
		cow_inode_poison(list[k], why);
}

/* The same three steps for up to AT_ONCE files, with one sync of the whole host file system in
 * place of one or two for each: what import and a mass of small files need. `list` ascends, like
 * every taking of several commit locks. */
static cow_errno commit_group(struct cow_live *l, struct cow_inode **list, size_t n)
{
	CLEANUP_FREE struct cow_work *work = calloc(n, sizeof(*work));
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	cow_errno r = work ? 0 : -ENOMEM;
	size_t taken = 0;

	for (; r == 0 && taken < n; taken++) {
		pthread_mutex_lock(&list[taken]->commit);
		r = begin(list[taken], true, &work[taken]);
		if (r == 1 || r == -EIO)
			r = 0; /* a seal has it, or it is poisoned: left as it is */
		cow_batch_append(&batch, &work[taken].batch);
		cow_work_release(&work[taken]);
	}
	if (r == 0 && !l->ephemeral && syncfs(l->s->dirfd) < 0)
		r = -errno;
	for (size_t k = 0; k < taken; k++)
		if (work[k].data)
			cow_extent_synced(l->s->extents, TAKE_PTR(work[k].data), r == 0);
	if (r == 0)
		r = l->ephemeral ? cow_kv_write(l->s->kv, &batch, false)
				 : cow_store_commit(l->s, &batch);
	if (r < 0 && r != -ESTALE)
		poison_all(list, taken, r);
	for (size_t k = 0; k < taken; k++) {
		end(list[k]);
		pthread_mutex_unlock(&list[k]->commit);
	}
	return r;
}

size_t cow_inodes_urgent_first(struct cow_inode **list, size_t n)
{
	size_t urgent = 0;

	for (size_t k = 0; k < n; k++) {
		struct cow_inode *i = list[k];

		if (i->own_run <= 1)
			continue;
		list[k] = list[urgent];
		list[urgent++] = i;
	}
	return urgent;
}

static cow_errno put_each(struct cow_inode **list, size_t n)
{
	cow_errno r = 0, one;

	for (size_t k = 0; k < n; k++) {
		one = commit(list[k], true, false);
		if (one < 0 && one != -ESTALE && r == 0)
			r = one;
	}
	return r;
}

/* A group holds its commit locks over a long sync, and those of urgent files are waited for. */
static cow_errno put_list(struct cow_live *l, struct cow_inode **list, size_t n)
{
	size_t urgent = cow_inodes_urgent_first(list, n);
	cow_errno r;

	if (n - urgent <= MANY)
		return put_each(list, n);
	r = put_each(list, urgent);
	qsort(list + urgent, n - urgent, sizeof(*list), by_number);
	for (size_t k = urgent; r == 0 && k < n; k += AT_ONCE)
		r = commit_group(l, list + k, COW_MIN(n - k, (size_t)AT_ONCE));
	return r == -ESTALE ? 0 : r;
}

/* Everything dirty once: put, and with `durable` durable. */
static cow_errno put_dirty(struct cow_live *l, bool durable)
{
	struct cow_inode **list = NULL, *i;
	uint64_t seq = 0;
	cow_errno r;
	size_t n = 0;

	pthread_mutex_lock(&l->dirty_lock);
	TAILQ_FOREACH (i, &l->dirty, dirty_entry)
		n++;
	list = calloc(n + 1, sizeof(*list));
	n = 0;
	if (list)
		TAILQ_FOREACH (i, &l->dirty, dirty_entry)
			list[n++] = cow_inode_ref(i);
	pthread_mutex_unlock(&l->dirty_lock);
	if (!list)
		return -ENOMEM;
	r = put_list(l, list, n);
	for (size_t k = 0; k < n; k++)
		seq = COW_MAX(seq, atomic_load(&list[k]->put_seq));
	if (durable && cow_store_commit_names(l->s, seq) < 0) {
		r = -EIO;
		poison_all(list, n, r);
	}
	for (size_t k = 0; k < n; k++)
		cow_inode_put(list[k]);
	free(list);
	return r;
}

cow_errno cow_live_put_dirty(struct cow_live *l)
{
	return put_dirty(l, false);
}

cow_errno cow_live_commit(struct cow_live *l)
{
	return put_dirty(l, true);
}

cow_errno cow_file_sync(struct cow_inode *i, bool datasync)
{
	cow_errno r = cow_inode_check(i, false);

	return r < 0 ? r : cow_inode_commit(i, !datasync);
}
