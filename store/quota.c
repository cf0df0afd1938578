// SPDX-License-Identifier: Apache-2.0
/* quota: how much of its own a branch may have.
 *
 * Charged is what the lineage of the branch has in the files it shows: blocks written on it. What
 * shows through from below is free, and so is what only snapshots still need. The number is kept in
 * memory, adjusted by whoever makes or drops such a block (one addition for a first write, nothing
 * for later ones), and counted from the map when a branch with a quota is opened.
 *
 * Only blocks that exist nowhere yet are refused, and only where the writer takes it well
 * (COW_WRITE_BOUND). A change of an inherited block is charged, not refused: postgres has logged it
 * already, and neither a checkpoint nor a recovery nor a DELETE must depend on the quota. The first
 * blocks of a file have a margin: TRUNCATE and DROP must be able to make theirs. So the
 * charge can exceed the quota, by at most what the branch inherited plus WAL and small files. Two
 * files that grow at the same moment may together go over by what each asked for. */
#include <errno.h>

#include "store/branch_impl.h"
#include "store/cleanup.h"
#include "store/needs.h"

#define MARGIN (16u << 20) /* bytes */

static int count_bits(uint64_t epoch, uint64_t ino, uint64_t chunk, const uint64_t bits[16],
		      void *arg)
{
	for (int k = 0; k < 16; k++)
		*(int64_t *)arg += __builtin_popcountll(bits[k]);
	return 0;
}

cow_errno cow_quota_count(struct cow_live *l)
{
	uint64_t head = cow_head(l);
	const struct cow_needs_points p = {.at = &head, .n = 1, .head = head};
	int64_t blocks = 0;
	const struct cow_needs_sink sink = {.block = count_bits, .arg = &blocks};
	cow_errno r = cow_needs(l->s, l->chain[0].lineage, &p, &sink);

	if (r < 0)
		return r;
	l->own_blocks = blocks;
	l->own_known = true;
	return 0;
}

static uint64_t used(const struct cow_live *l)
{
	int64_t blocks = l->own_blocks;

	return blocks > 0 ? (uint64_t)blocks * COW_BLOCK : 0;
}

cow_errno cow_quota_check(const struct cow_live *l, uint64_t fresh, bool margin)
{
	uint64_t quota = l->quota;

	return quota && used(l) + fresh * COW_BLOCK > quota + (margin ? MARGIN : 0) ? -EDQUOT : 0;
}

bool cow_live_quota(const struct cow_live *l, uint64_t *ret_quota, uint64_t *ret_used)
{
	*ret_quota = l->quota;
	*ret_used = used(l);
	return *ret_quota && l->own_known;
}

/* What was written is in the map before it is counted; little is left to commit in the freeze. */
static cow_errno count_live(struct cow_live *l)
{
	cow_live_commit(l);
	WITH_EXCLUSIVE(&l->freeze);

	if (l->own_known)
		return 0;
	cow_live_commit(l); /* a poisoned file cannot; what it has of its own does not count */
	return cow_quota_count(l);
}

cow_errno cow_branch_set_quota(struct cow_store *s, const char *name, uint64_t bytes,
			       struct cow_error *e)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	struct cow_live *l = NULL;
	cow_errno r;
	WITH_LOCK(&s->admin);

	if ((r = cow_branch_read(s, name, &b, e)) < 0)
		return r;
	if ((r = cow_live_open(s, &b, &l)) < 0)
		return cow_fail(e, r, "cannot open branch %s: damaged lineage", name);
	if (bytes && (r = count_live(l)) < 0)
		cow_fail(e, r, "cannot count what branch %s has: %s", name, strerror(-r));
	b.quota = bytes;
	cow_branch_put(&batch, name, &b);
	if (r == 0 && (r = cow_store_commit(s, &batch)) < 0)
		cow_fail(e, r, "cannot write branch %s: %s", name, strerror(-r));
	if (r == 0)
		l->quota = bytes;
	cow_live_put(l);
	return r;
}

cow_errno cow_branch_quota(struct cow_store *s, const char *name, uint64_t *ret_used,
			   struct cow_error *e)
{
	struct cow_live *l = NULL;
	uint64_t quota;
	cow_errno r = cow_live_get(s, name, &l, e);

	if (r < 0)
		return r;
	if (!cow_live_quota(l, &quota, ret_used))
		r = -ENODATA;
	cow_live_put(l);
	return r;
}
