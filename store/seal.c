// SPDX-License-Identifier: Apache-2.0
/* seal: closing the head epoch of a live branch (DESIGN 4.5, steps 2 to 4).
 *
 *   a. sync the data of every dirty file and put its records, twice: what is left is little
 *   b. make the next epoch's number durable (and with it what (a) put), so that names and files of
 *      it may be committed early
 *   c. freeze; encode what is still dirty for the old epoch; move the head; thaw
 *   d. of each file of (c), WAL first: sync the data, put the records
 *   e. sync the map, once for all of them and every name
 *
 * Until its records are put (d), a commit of a file of (c) waits: its records of the new epoch tell
 * of the old one's blocks. From then on it may be durable before (e) is: the map keeps the order.
 * So a transaction waits for the rest of its own WAL file, not for relations. A power cut between
 * (b) and (e) leaves a closed epoch that lacks only what nobody was told to be durable. Only a seal
 * that returned 0 is ever given a name or a child. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/core.h"

struct sealing {
	size_t n;
	struct cow_inode **inodes; /* references */
	struct cow_work *work;     /* of each */
};

static void sealing_release(struct sealing *s)
{
	for (size_t k = 0; k < s->n; k++) {
		cow_work_release(&s->work[k]);
		cow_inode_put(s->inodes[k]);
	}
	free(s->inodes);
	free(s->work);
}

static cow_errno open_next_epoch(struct cow_live *l)
{
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	struct cow_lineage_rec rec;
	cow_errno r = cow_lineage_get(l->s, l->chain[0].lineage, &rec);

	if (r < 0)
		return r;
	rec.head = cow_head(l) + 1;
	cow_lineage_put(&b, l->chain[0].lineage, &rec);
	return cow_store_commit(l->s, &b);
}

/* freeze exclusive: nothing is being written, the dirty list stands still. */
static cow_errno collect_all(struct cow_live *l, struct sealing *out)
{
	struct cow_inode *i;
	size_t n = 0;
	WITH_LOCK(&l->dirty_lock);

	TAILQ_FOREACH (i, &l->dirty, dirty_entry)
		n++;
	out->inodes = calloc(n + 1, sizeof(*out->inodes));
	out->work = calloc(n + 1, sizeof(*out->work));
	if (!out->inodes || !out->work)
		return -ENOMEM;
	TAILQ_FOREACH (i, &l->dirty, dirty_entry)
		out->inodes[out->n++] = cow_inode_ref(i);
	cow_inodes_urgent_first(out->inodes, out->n);
	return 0;
}

static void switch_head(struct cow_live *l, struct sealing *out)
{
	pthread_mutex_lock(&l->seal_wait);
	l->seal_begun++;
	pthread_mutex_unlock(&l->seal_wait);
	for (size_t k = 0; k < out->n; k++) {
		struct cow_inode *i = out->inodes[k];
		WITH_LOCK(&i->map);

		cow_work_collect(i, true, &out->work[k]);
		if (i->head_src)
			cow_extent_seal(l->s->extents, i->sources[i->head_src - COW_SRC_FIRST].x);
		atomic_store(&i->wait_seal, l->seal_begun);
	}
	__atomic_store_n(&l->chain[0].epoch, cow_head(l) + 1, __ATOMIC_RELEASE);
	l->head_written = false;
}

/* Its commits need not wait any longer, whatever became of it. */
static void let_go(struct cow_live *l, struct cow_inode *i)
{
	pthread_mutex_lock(&l->seal_wait);
	atomic_store(&i->wait_seal, 0);
	pthread_cond_broadcast(&l->seal_cond);
	pthread_mutex_unlock(&l->seal_wait);
}

/* Nothing more of a poisoned file becomes the map's: it is recovered from what was before. */
static void give_up(struct cow_inode *i, struct cow_work *w)
{
	if (w->data)
		cow_extent_unpin(i->live->s->extents, TAKE_PTR(w->data));
	cow_work_release(w);
}

/* Also waits for commits that took work before the freeze: their records belong to the old epoch.
 */
static cow_errno put_all(struct cow_live *l, struct sealing *s)
{
	cow_errno r = 0, one;

	for (size_t k = 0; k < s->n; k++) {
		struct cow_inode *i = s->inodes[k];
		WITH_LOCK(&i->commit);

		one = i->poisoned ? -EIO : cow_work_put(i, &s->work[k]);
		if (one < 0) {
			cow_inode_poison(i, one);
			give_up(i, &s->work[k]);
		}
		r = r < 0 ? r : one;
		let_go(l, i);
	}
	return r;
}

static cow_errno freeze_and_switch(struct cow_live *l, struct sealing *out)
{
	cow_errno r;
	WITH_EXCLUSIVE(&l->freeze);

	if (l->stale)
		return -ESTALE;
	r = collect_all(l, out);
	if (r == 0)
		switch_head(l, out);
	return r;
}

static cow_errno sync_map(struct cow_live *l, struct sealing *s)
{
	const struct cow_batch none = {0};
	cow_errno r = 0;

	/* An ephemeral branch synced nothing so far; a point of it is as durable as any other. */
	if (l->ephemeral && syncfs(l->s->dirfd) < 0)
		r = -errno;
	if (r == 0)
		r = cow_store_commit(l->s, &none);
	for (size_t k = 0; r < 0 && k < s->n; k++)
		cow_inode_poison(s->inodes[k], r);
	return r;
}

static cow_errno close_epoch(struct cow_live *l)
{
	CLEANUP(sealing_release) struct sealing s = {0};
	cow_errno r = freeze_and_switch(l, &s);

	if (r < 0)
		return r;
	r = put_all(l, &s);
	if (r == 0)
		r = sync_map(l, &s);
	pthread_mutex_lock(&l->seal_wait);
	l->seal_done = l->seal_begun;
	pthread_cond_broadcast(&l->seal_cond);
	pthread_mutex_unlock(&l->seal_wait);
	for (size_t k = 0; k < s.n; k++) {
		WITH_LOCK(&s.inodes[k]->commit); /* a commit under way must stay on the list */
		cow_inode_unmark(s.inodes[k]);
	}
	return r;
}

/* Nothing was written since the last point: that point, or the one that the lineage began over. */
static bool reuse(struct cow_live *l, struct cow_point *ret)
{
	bool quiet;
	WITH_EXCLUSIVE(&l->freeze);

	pthread_mutex_lock(&l->dirty_lock);
	quiet = TAILQ_EMPTY(&l->dirty) && !l->head_written;
	pthread_mutex_unlock(&l->dirty_lock);
	if (!quiet || cow_head(l) == 1)
		return false;
	*ret = (struct cow_point){l->chain[0].lineage, cow_head(l) - 1};
	return true;
}

cow_errno cow_live_seal(struct cow_live *l, struct cow_point *ret, struct cow_error *e)
{
	struct cow_room_stat room;
	cow_errno r;
	WITH_LOCK(&l->seal_lock);

	if (l->poisoned) {
		cow_fail(e, -EROFS, "the branch has files whose last write failed");
		return cow_hint(
		    e, -EROFS,
		    "Stop what uses it, then run 'cowfs branch recover' or 'cowfs start'.");
	}
	if (l->lost) {
		cow_fail(e, -EROFS, "the branch is ephemeral and the machine went down since");
		return cow_hint(e, -EROFS, "Start it over with 'cowfs branch reset'.");
	}
	if (reuse(l, ret))
		return 0;
	cow_room_stat(&l->s->room, &room);
	if (room.waiting) {
		cow_fail(e, -ENOSPC, "the host's disk is full and writes wait for room");
		return cow_hint(e, -ENOSPC,
				"Delete branches or snapshots, or free space beside the store.");
	}
	if ((r = cow_live_put_dirty(l)) < 0 || (r = cow_live_put_dirty(l)) < 0 ||
	    (r = open_next_epoch(l)) < 0 || (r = close_epoch(l)) < 0)
		return cow_fail(e, r, "cannot close the epoch: %s", strerror(-r));
	*ret = (struct cow_point){l->chain[0].lineage, cow_head(l) - 1};
	cow_summer_want(l->s->summer, ret->lineage);
	return 0;
}
