// SPDX-License-Identifier: Apache-2.0
/* kv: both implementations keep the contract of store/kv.h; the one in memory also fails and
 * forgets as told. */
#include "store/kv.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/lib/kv_mem.h"
#include "tests/lib/tmpstore.h"

struct world {
	bool rocks;
	char dir[256];
	struct kv_mem_disk *disk;
	struct cow_kv *kv;
};

static void world_open(struct world *w, bool create)
{
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r =
	    w->rocks ? cow_kv_rocks_open(w->dir, create, &w->kv, &e) : kv_mem_open(w->disk, &w->kv);

	cr_assert_eq(r, 0, "%d %s", r, e.text);
}

static void world_make(struct world *w, bool rocks)
{
	*w = (struct world){.rocks = rocks};
	if (rocks)
		tmpdir_make(w->dir, sizeof(w->dir));
	else
		w->disk = kv_mem_disk_new();
	world_open(w, true);
}

static void world_end(struct world *w)
{
	w->kv->ops->close(w->kv);
	if (w->rocks)
		tmpdir_remove(w->dir);
	kv_mem_disk_free(w->disk);
}

static void put(struct cow_batch *b, const char *key, const char *val)
{
	cow_batch_put(b, key, strlen(key), val, strlen(val));
}

static void write_one(struct cow_kv *kv, const char *key, const char *val, bool sync)
{
	struct cow_batch b = {0};

	if (val)
		put(&b, key, val);
	else
		cow_batch_del(&b, key, strlen(key));
	cr_assert_eq(cow_kv_write(kv, &b, sync), 0);
	cow_batch_release(&b);
}

static int count_key(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

static void expect(struct cow_kv *kv, const char *key, const char *val)
{
	struct cow_buf v = {0};
	cow_errno r = cow_kv_get(kv, key, strlen(key), &v);

	if (!val) {
		cr_assert_eq(r, -ENOENT, "%s: %d", key, r);
	} else {
		cr_assert_eq(r, 0, "%s: %d", key, r);
		cr_assert(v.len == strlen(val) && (v.len == 0 || memcmp(v.data, val, v.len) == 0),
			  "%s is \"%.*s\"", key, (int)v.len, (char *)v.data);
	}
	cow_buf_release(&v);
}

static int append_key(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	char *out = arg;

	sprintf(out + strlen(out), "%.*s=%.*s ", (int)klen, (const char *)key, (int)vlen,
		(const char *)val);
	return memcmp(key, "stop", klen < 4 ? klen : 4) == 0 && klen >= 4 ? 7 : 0;
}

static void expect_scan(struct cow_kv *kv, const char *prefix, const char *from, const char *want)
{
	char got[1000] = "";
	int r = kv->ops->scan(kv, prefix, strlen(prefix), from, from ? strlen(from) : 0, append_key,
			      got);

	cr_assert_eq(r, strstr(want, "stop") ? 7 : 0);
	cr_assert_str_eq(got, want);
}

static void expect_seek(struct cow_kv *kv, const char *key, size_t plen, const char *want)
{
	struct cow_buf k = {0}, v = {0};
	cow_errno r = kv->ops->seek(kv, key, strlen(key), plen, &k, &v);

	if (!want)
		cr_assert_eq(r, -ENOENT, "seek %s: %d", key, r);
	else
		cr_assert(r == 0 && k.len == strlen(want) && memcmp(k.data, want, k.len) == 0,
			  "seek %s: %d \"%.*s\"", key, r, (int)k.len, (char *)k.data);
	cow_buf_release(&k);
	cow_buf_release(&v);
}

ParameterizedTestParameters(kv, keeps_the_contract)
{
	static bool both[] = {false, true};

	return cr_make_param_array(bool, both, 2);
}

/* Get, seek, scan and batches mean the same in both. */
ParameterizedTest(bool *rocks, kv, keeps_the_contract)
{
	static const char *keys[] = {"Naaaaaaaabbbbbbbbx1", "Naaaaaaaabbbbbbbbx3",
				     "Naaaaaaaabbbbbbbby1", "Nb"};
	struct cow_batch b = {0};
	struct world w;

	world_make(&w, *rocks);
	expect(w.kv, "a", NULL);
	put(&b, "a", "1");
	put(&b, "b", "2");
	put(&b, "a", "3");
	cow_batch_del(&b, "b", 1);
	put(&b, "empty", "");
	for (size_t k = 0; k < 4; k++)
		put(&b, keys[k], "v");
	cr_assert_eq(cow_kv_write(w.kv, &b, false), 0);
	cow_batch_release(&b);
	expect(w.kv, "a", "3");
	expect(w.kv, "b", NULL);
	expect(w.kv, "empty", "");
	expect_seek(w.kv, keys[0], 18, keys[0]);
	expect_seek(w.kv, "Naaaaaaaabbbbbbbbx2", 18, keys[1]);
	expect_seek(w.kv, "Naaaaaaaabbbbbbbbx4", 18, NULL);
	expect_seek(w.kv, "Naaaaaaaabbbbbbbbx4", 17, keys[2]);
	expect_seek(w.kv, "Nc", 1, NULL);
	expect_seek(w.kv, "N", 1, keys[0]);
	expect_seek(w.kv, "b", 0, "empty");
	expect_scan(w.kv, "Na", NULL,
		    "Naaaaaaaabbbbbbbbx1=v Naaaaaaaabbbbbbbbx3=v Naaaaaaaabbbbbbbby1=v ");
	expect_scan(w.kv, "Na", "Naaaaaaaabbbbbbbbx2",
		    "Naaaaaaaabbbbbbbbx3=v Naaaaaaaabbbbbbbby1=v ");
	expect_scan(w.kv, "x", NULL, "");
	write_one(w.kv, "stop1", "", true);
	write_one(w.kv, "stop2", "", true);
	expect_scan(w.kv, "stop", NULL, "stop1= ");
	world_end(&w);
}

ParameterizedTestParameters(kv, is_there_after_closing)
{
	static bool both[] = {false, true};

	return cr_make_param_array(bool, both, 2);
}

/* Closing is no power cut: even what was never synced is there. */
ParameterizedTest(bool *rocks, kv, is_there_after_closing)
{
	struct world w;

	world_make(&w, *rocks);
	write_one(w.kv, "a", "1", true);
	write_one(w.kv, "b", "2", false);
	write_one(w.kv, "a", NULL, false);
	w.kv->ops->close(w.kv);
	world_open(&w, false);
	expect(w.kv, "a", NULL);
	expect(w.kv, "b", "2");
	world_end(&w);
}

static int count_entry(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct world *w = arg;

	write_one(w->kv, "zz", "added while scanning", false);
	cr_assert(klen != 2 || memcmp(key, "zz", 2) != 0, "a scan sees one moment");
	return 0;
}

ParameterizedTestParameters(kv, scan_sees_one_moment)
{
	static bool both[] = {false, true};

	return cr_make_param_array(bool, both, 2);
}

ParameterizedTest(bool *rocks, kv, scan_sees_one_moment)
{
	struct world w;

	world_make(&w, *rocks);
	write_one(w.kv, "a", "1", false);
	write_one(w.kv, "b", "1", false);
	cr_assert_eq(w.kv->ops->scan(w.kv, "", 0, NULL, 0, count_entry, &w), 0);
	world_end(&w);
}

/* Two processes, or two parts of one, cannot have one map open. */
Test(kv, rocks_is_locked_while_open)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_kv *second = NULL;
	struct world w;

	world_make(&w, true);
	cr_assert_eq(cow_kv_rocks_open(w.dir, false, &second, &e), -EBUSY, "%s", e.text);
	cr_assert_null(second);
	world_end(&w);
}

Test(kv, rocks_that_is_damaged_is_not_opened)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_kv *kv = NULL;
	char path[512];
	struct world w;
	FILE *f;

	world_make(&w, true);
	write_one(w.kv, "a", "1", true);
	w.kv->ops->close(w.kv);
	snprintf(path, sizeof(path), "%s/CURRENT", w.dir);
	f = fopen(path, "w");
	cr_assert(f && fputs("garbage", f) >= 0 && fclose(f) == 0);
	cr_assert_eq(cow_kv_rocks_open(w.dir, false, &kv, &e), -EIO);
	cr_assert(strlen(e.text) > 0 && !kv);
	tmpdir_remove(w.dir);
}

/* A batch whose memory ran out is not written in part. */
Test(kv, failed_batch_is_refused)
{
	struct world w;
	struct cow_batch b = {0};

	world_make(&w, false);
	put(&b, "a", "1");
	b.failed = -ENOMEM;
	cr_assert_eq(cow_kv_write(w.kv, &b, true), -ENOMEM);
	expect(w.kv, "a", NULL);
	cow_batch_release(&b);
	world_end(&w);
}

/* What a power cut leaves is a beginning of the row of unsynced batches, for every length. */
Test(kv, mem_forgets_unsynced_batches_from_the_end)
{
	for (size_t keep = 0; keep <= 4; keep++) {
		struct world w;
		char key[8];

		world_make(&w, false);
		write_one(w.kv, "synced", "1", true);
		for (int k = 0; k < 3; k++) {
			snprintf(key, sizeof(key), "k%d", k);
			write_one(w.kv, key, "1", false);
		}
		cr_assert_eq(kv_mem_unsynced(w.disk), 3);
		kv_mem_power_cut(w.disk, keep);
		w.kv->ops->close(w.kv);
		world_open(&w, false);
		expect(w.kv, "synced", "1");
		for (size_t k = 0; k < 3; k++) {
			snprintf(key, sizeof(key), "k%zu", k);
			expect(w.kv, key, k < keep ? "1" : NULL);
		}
		world_end(&w);
	}
}

/* A synced write takes everything before it along. */
Test(kv, mem_sync_covers_what_came_before)
{
	struct world w;

	world_make(&w, false);
	write_one(w.kv, "a", "1", false);
	write_one(w.kv, "b", "1", true);
	write_one(w.kv, "c", "1", false);
	cr_assert_eq(w.kv->ops->sync(w.kv), 0);
	write_one(w.kv, "d", "1", false);
	cr_assert_eq(kv_mem_calls(w.disk, KV_MEM_WRITE), 4);
	kv_mem_power_cut(w.disk, 0);
	w.kv->ops->close(w.kv);
	world_open(&w, false);
	expect(w.kv, "a", "1");
	expect(w.kv, "c", "1");
	expect(w.kv, "d", NULL);
	world_end(&w);
}

/* The nth call fails, and after a failed write nothing more is written (fail stop). */
Test(kv, mem_fails_the_call_it_is_told_to)
{
	struct cow_batch b = {0};
	struct cow_buf v = {0};
	struct world w;

	world_make(&w, false);
	kv_mem_fail(w.disk, KV_MEM_GET, 2, -EIO);
	expect(w.kv, "a", NULL);
	cr_assert_eq(cow_kv_get(w.kv, "a", 1, &v), -EIO);
	expect(w.kv, "a", NULL);
	kv_mem_fail(w.disk, KV_MEM_WRITE, 1, -ENOSPC);
	put(&b, "a", "1");
	cr_assert_eq(cow_kv_write(w.kv, &b, true), -ENOSPC);
	expect(w.kv, "a", NULL);
	cr_assert_eq(cow_kv_write(w.kv, &b, true), -EIO);
	cr_assert_eq(w.kv->ops->sync(w.kv), -EIO);
	/* It may have reached the medium all the same. */
	kv_mem_power_cut(w.disk, 1);
	w.kv->ops->close(w.kv);
	world_open(&w, false);
	expect(w.kv, "a", "1");
	cow_batch_release(&b);
	world_end(&w);
}

/* Nothing is there, but much was: gc, sums and verify look for the blocks of every inode, and most
 * have none. Without an end each such scan went over all that was deleted behind it. */
Test(kv, a_scan_of_nothing_does_not_go_over_what_was_deleted)
{
	enum { KEYS = 60000 };
	struct cow_batch b = {0};
	struct timespec from, to;
	struct cow_buf key = {0}, val = {0};
	struct world w;
	char name[40];
	unsigned n = 0;

	world_make(&w, true);
	for (int gone = 0; gone < 2; gone++) {
		for (int k = 0; k < KEYS; k++) {
			snprintf(name, sizeof(name), "Clineage0%08dchunk", k);
			if (gone)
				cow_batch_del(&b, name, strlen(name));
			else
				put(&b, name, "blocks");
		}
		cr_assert_eq(cow_kv_write(w.kv, &b, false), 0);
		cow_batch_release(&b);
		memset(&b, 0, sizeof(b));
	}
	write_one(w.kv, "D", "behind", true);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int k = 0; k < KEYS; k += 10) {
		snprintf(name, sizeof(name), "Clineage0%08d", k);
		cr_assert_eq(w.kv->ops->scan(w.kv, name, 17, NULL, 0, count_key, &n), 0);
		cr_assert_eq(w.kv->ops->seek(w.kv, name, 17, 17, &key, &val), -ENOENT);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	cr_expect_eq(n, 0);
	/* 12,000 look-ups: a tenth of a second, and 43 s without the end. */
	cr_expect_lt(to.tv_sec - from.tv_sec, 10);
	cow_buf_release(&key);
	cow_buf_release(&val);
	world_end(&w);
}
