// SPDX-License-Identifier: Apache-2.0
/* order: what two threads may not overtake (DESIGN 4.4, rule 3).
 *
 * The map is in memory and can be held just before a synced batch becomes durable: whoever answers
 * meanwhile, having relied on that batch, has answered too early. Deterministic: no luck needed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/core.h"
#include "tests/lib/kv_mem.h"
#include "tests/lib/tmpstore.h"

enum { B = COW_BLOCK, HOLD_MS = 400 };

/* A kv whose next synced write or sync waits before it is carried out. */
struct slow {
	struct cow_kv kv;
	struct cow_kv *inner;
	struct kv_mem_disk *disk;
	_Atomic bool hold, held, passed;
};

static struct tmpstore t;
static struct slow slow;

static cow_errno get(struct cow_kv *kv, const void *key, size_t klen, struct cow_buf *val)
{
	return slow.inner->ops->get(slow.inner, key, klen, val);
}

static cow_errno seek(struct cow_kv *kv, const void *key, size_t klen, size_t plen,
		      struct cow_buf *ret_key, struct cow_buf *val)
{
	return slow.inner->ops->seek(slow.inner, key, klen, plen, ret_key, val);
}

static int scan(struct cow_kv *kv, const void *prefix, size_t plen, const void *from, size_t flen,
		int (*each)(const uint8_t *, size_t, const uint8_t *, size_t, void *), void *arg)
{
	return slow.inner->ops->scan(slow.inner, prefix, plen, from, flen, each, arg);
}

static void wait_if_held(void)
{
	if (!atomic_exchange(&slow.hold, false))
		return;
	slow.held = true;
	usleep(HOLD_MS * 1000);
	slow.passed = true;
}

static cow_errno write_kv(struct cow_kv *kv, const struct cow_batch *b, bool sync)
{
	if (sync)
		wait_if_held();
	return slow.inner->ops->write(slow.inner, b, sync);
}

static cow_errno sync_kv(struct cow_kv *kv)
{
	wait_if_held();
	return slow.inner->ops->sync(slow.inner);
}

static void close_kv(struct cow_kv *kv)
{
	slow.inner->ops->close(slow.inner);
}

static const struct cow_kv_ops slow_ops = {
    .get = get, .seek = seek, .scan = scan, .write = write_kv, .sync = sync_kv, .close = close_kv};

static struct cow_live *l;
static struct cow_inode *f;

static void set_up(void)
{
	const struct cow_store_options o = {.no_background = true};
	CLEANUP(cow_batch_release) struct cow_batch b = {0};

	tmpstore_make(&t, false);
	tmpstore_close(&t);
	memset(&slow, 0, sizeof(slow));
	slow.kv.ops = &slow_ops;
	slow.disk = kv_mem_disk_new();
	cr_assert_eq(kv_mem_open(slow.disk, &slow.inner), 0);
	cow_meta_put(&b, "commit", 1);
	cr_assert_eq(cow_kv_write(slow.inner, &b, true), 0);
	cr_assert_eq(cow_store_open_kv(t.path, &o, &slow.kv, &t.s, NULL), 0);
	branch_make(&t, "main", NULL);
	put_fill(&t, "main", "f", 0, 4 * B, '0');
	sync_branch(&t, "main");
	snapshot_make(&t, "main", "s");
	l = live_of(&t, "main");
	f = path_get(l, "f", NULL);
}

static void tear_down(void)
{
	cow_inode_put(f);
	cow_live_put(l);
	tmpstore_release(&t);
	kv_mem_disk_free(slow.disk);
}

TestSuite(order, .init = set_up, .fini = tear_down, .timeout = 60);

static cow_errno put(uint64_t off, int byte, unsigned flags)
{
	uint8_t buf[B];

	memset(buf, byte, sizeof(buf));
	return cow_file_write(f, buf, off, B, flags);
}

static void *sync_f(void *arg)
{
	cr_assert_eq(cow_file_sync(f, true), 0);
	return NULL;
}

static void *make_snapshot(void *arg)
{
	snapshot_make(&t, "main", "s2");
	return NULL;
}

/* Starts `work`, and returns while it stands before its synced batch. */
static pthread_t hold(void *(*work)(void *))
{
	pthread_t thread;

	slow.hold = true;
	cr_assert_eq(pthread_create(&thread, NULL, work, NULL), 0);
	while (!slow.held)
		usleep(1000);
	return thread;
}

/* The batch that owns the block is under way, not durable: a power cut now shows the old block. */
Test(order, dsync_write_waits_for_the_commit_of_its_block)
{
	pthread_t thread;

	cr_assert_eq(put(B, 'a', 0), 0);
	thread = hold(sync_f);
	cr_assert_eq(put(B, 'b', COW_WRITE_DSYNC), 0);
	cr_expect(slow.passed, "the write was answered before the map knew its block");
	pthread_join(thread, NULL);
}

Test(order, fsync_waits_for_the_commit_of_its_file)
{
	pthread_t thread;

	cr_assert_eq(put(B, 'a', 0), 0);
	thread = hold(sync_f);
	cr_assert_eq(cow_file_sync(f, true), 0);
	cr_expect(slow.passed, "the fsync was answered before the one under way");
	pthread_join(thread, NULL);
}

/* A file that a seal is closing. */
Test(order, dsync_write_waits_for_the_seal_of_its_file)
{
	pthread_t thread;

	cr_assert_eq(put(B, 'a', 0), 0);
	cr_assert_eq(cow_file_sync(f, true), 0);
	cr_assert_eq(put(B, 'b', 0), 0);
	thread = hold(make_snapshot);
	cr_assert_eq(put(B, 'c', COW_WRITE_DSYNC), 0);
	pthread_join(thread, NULL);
	/* Whatever it waited for, the power may go now: the newest bytes are there. */
	kv_mem_power_cut(slow.disk, 0);
	cr_expect(slow.passed || kv_mem_unsynced(slow.disk) == 0);
}

/* A name that a sync is just making durable: another file's fsync needs it as well. */
Test(order, fsync_waits_for_names_under_way)
{
	struct cow_inode *root = NULL;
	pthread_t thread;

	cr_assert_eq(cow_inode_get(l, cow_live_root(l), &root), 0);
	cr_assert_eq(put(B, 'a', 0), 0);
	cr_assert_eq(cow_name_rename(root, "f", root, "g", 0), 0);
	thread = hold(sync_f);
	cr_assert_eq(cow_file_sync(root, false), 0);
	cr_expect(slow.passed || kv_mem_unsynced(slow.disk) == 0,
		  "the directory's fsync was answered before its names were durable");
	pthread_join(thread, NULL);
	cow_inode_put(root);
}

/* Rule 2: the space of an unlinked file is not given back while the map cannot be made durable; the
 * map on disk still leads to it. */
Test(order, nothing_is_freed_that_the_map_still_leads_to)
{
	struct cow_inode *root = NULL;
	uint64_t before;

	put_fill(&t, "main", "gone", 0, 40 * B, 'g');
	sync_branch(&t, "main");
	before = host_bytes(&t);
	cr_assert_geq(before, 40 * B);
	cr_assert_eq(cow_inode_get(l, cow_live_root(l), &root), 0);
	cr_assert_eq(cow_name_unlink(root, "gone"), 0);
	cow_inode_put(root);
	kv_mem_fail(slow.disk, KV_MEM_SYNC, 1, -EIO);
	cow_background_trims(t.s);
	cr_assert_eq(host_bytes(&t), before, "freed before the map was durable");
}
