// SPDX-License-Identifier: Apache-2.0
/* file: reading, writing, truncating, punching; at block and chunk edges, above inherited blocks.
 */
#include "store/file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/core.h"
#include "tests/lib/tmpstore.h"

enum { B = COW_BLOCK, CHUNK = COW_BLOCK * COW_CHUNK_BLOCKS };

static struct tmpstore t;
static struct cow_live *l;
static struct cow_inode *f;

/* `f` is the file on that branch. */
static void take_up(const char *branch)
{
	l = live_of(&t, branch);
	f = path_make(l, "base/5/16384");
}

static void let_go(void)
{
	cow_inode_put(f);
	cow_live_put(l);
}

static void open_file(void)
{
	tmpstore_make(&t, true);
	take_up("main");
}

static void close_file(void)
{
	let_go();
	tmpstore_release(&t);
}

static void set_size(struct cow_inode *i, uint64_t size)
{
	struct cow_attr a = {.size = size};

	cr_assert_eq(cow_inode_set(i, COW_SET_SIZE, &a), 0);
}

static void fill(uint64_t off, size_t len, int byte)
{
	put_fill(&t, "main", "base/5/16384", off, len, byte);
}

static void want(uint64_t off, size_t len, int byte)
{
	expect_fill(&t, "main", "base/5/16384", off, len, byte);
}

TestSuite(file, .init = open_file, .fini = close_file, .timeout = 60);

/* What was written is read, and a hole is zeroes. */
Test(file, reads_what_was_written)
{
	fill(3 * B + 100, 5000, 'a');
	want(0, 3 * B + 100, 0);
	want(3 * B + 100, 5000, 'a');
	expect_size(&t, "main", "base/5/16384", 3 * B + 5100);
	fill(3 * B, B, 'b');
	want(3 * B, B, 'b');
	expect_size(&t, "main", "base/5/16384", 4 * B);
}

/* A write across the edge of two chunks is one write. */
Test(file, writes_across_a_chunk_edge)
{
	fill(CHUNK - 3 * B - 7, 6 * B, 'a');
	want(CHUNK - 3 * B - 7, 6 * B, 'a');
	want(CHUNK - 4 * B, B - 7, 0);
	sync_branch(&t, "main");
	let_go();
	tmpstore_reopen(&t);
	take_up("main");
	want(CHUNK - 3 * B - 7, 6 * B, 'a');
}

/* A partial write into a block of the parent completes it from there. */
Test(file, completes_a_partial_block_from_the_parent)
{
	fill(0, 4 * B, 'p');
	branch_make(&t, "child", "main");
	put_fill(&t, "child", "base/5/16384", B + 1000, 10, 'c');
	expect_fill(&t, "child", "base/5/16384", B, 1000, 'p');
	expect_fill(&t, "child", "base/5/16384", B + 1000, 10, 'c');
	expect_fill(&t, "child", "base/5/16384", B + 1010, 3 * B - 1010, 'p');
	want(0, 4 * B, 'p');
}

/* Truncating below inherited blocks and growing again shows zeroes, not the parent. */
Test(file, truncated_blocks_never_come_back_from_below)
{
	fill(0, 10 * B, 'p');
	branch_make(&t, "child", "main");
	struct cow_live *cl = live_of(&t, "child");
	struct cow_inode *i = path_get(cl, "base/5/16384", NULL);

	set_size(i, 2 * B + 100);
	set_size(i, 8 * B);
	cow_inode_put(i);
	cow_live_put(cl);
	for (int again = 0; again < 2; again++) {
		expect_fill(&t, "child", "base/5/16384", 0, 2 * B + 100, 'p');
		expect_fill(&t, "child", "base/5/16384", 2 * B + 100, 6 * B - 100, 0);
		want(0, 10 * B, 'p');
		sync_branch(&t, "child");
		let_go();
		tmpstore_reopen(&t);
		take_up("main");
	}
	/* A grandchild sees the same: the limit is inherited. */
	branch_make(&t, "grandchild", "child");
	expect_fill(&t, "grandchild", "base/5/16384", 2 * B + 100, 6 * B - 100, 0);
}

/* A punched block of the parent is a hole in the child, for its children too. */
Test(file, punched_blocks_hide_what_is_below)
{
	fill(0, 5 * B, 'p');
	branch_make(&t, "child", "main");
	struct cow_live *cl = live_of(&t, "child");
	struct cow_inode *i = path_get(cl, "base/5/16384", NULL);

	cr_assert_eq(
	    cow_file_allocate(i, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, B + 10, 2 * B), 0);
	cow_inode_put(i);
	cow_live_put(cl);
	branch_make(&t, "grandchild", "child");
	for (int k = 0; k < 2; k++) {
		const char *name = k ? "child" : "grandchild";

		expect_fill(&t, name, "base/5/16384", 0, B + 10, 'p');
		expect_fill(&t, name, "base/5/16384", B + 10, 2 * B, 0);
		expect_fill(&t, name, "base/5/16384", 3 * B + 10, 2 * B - 10, 'p');
	}
	want(0, 5 * B, 'p');
}

/* Writing zeroes is writing: they hide what is below. */
Test(file, written_zeroes_hide_what_is_below)
{
	fill(0, 3 * B, 'p');
	branch_make(&t, "child", "main");
	put_fill(&t, "child", "base/5/16384", B, B, 0);
	sync_branch(&t, "child");
	expect_fill(&t, "child", "base/5/16384", B, B, 0);
	expect_fill(&t, "child", "base/5/16384", 2 * B, B, 'p');
}

Test(file, allocate_modes)
{
	fill(0, 100, 'a');
	cr_assert_eq(cow_file_allocate(f, FALLOC_FL_KEEP_SIZE, 0, 10 * B), 0);
	expect_size(&t, "main", "base/5/16384", 100);
	cr_assert_eq(cow_file_allocate(f, 0, 0, 3 * B), 0);
	expect_size(&t, "main", "base/5/16384", 3 * B);
	want(0, 100, 'a');
	want(100, 3 * B - 100, 0);
	cr_assert_eq(cow_file_allocate(f, FALLOC_FL_ZERO_RANGE, 50, 5 * B), 0);
	expect_size(&t, "main", "base/5/16384", 5 * B + 50);
	want(0, 50, 'a');
	want(50, 5 * B, 0);
	cr_assert_eq(cow_file_allocate(f, FALLOC_FL_COLLAPSE_RANGE, 0, B), -EOPNOTSUPP);
	cr_assert_eq(cow_file_allocate(f, FALLOC_FL_PUNCH_HOLE, 0, B), -EOPNOTSUPP);
	expect_size(&t, "main", "base/5/16384", 5 * B + 50);
}

Test(file, reads_are_short_only_at_the_end)
{
	uint8_t buf[2 * B];
	size_t n = 99;

	fill(0, B + 5, 'a');
	cr_assert_eq(cow_file_read(f, buf, B, sizeof(buf), &n), 0);
	cr_assert_eq(n, 5);
	cr_assert_eq(cow_file_read(f, buf, B + 5, sizeof(buf), &n), 0);
	cr_assert_eq(n, 0);
	cr_assert_eq(cow_file_read(f, buf, 1ull << 60, sizeof(buf), &n), 0);
	cr_assert_eq(n, 0);
}

/* A plan for a range whose blocks are neighbours in one host file is one piece. */
Test(file, neighbours_are_one_read)
{
	struct cow_read *r = malloc(sizeof(*r));

	fill(0, 64 * B, 'a');
	sync_branch(&t, "main");
	cr_assert_eq(cow_file_read_begin(f, 0, 64 * B, r), 0);
	cr_assert_eq(r->n, 1, "%u pieces", r->n);
	cr_assert_eq(r->len, 64 * B);
	cow_file_read_end(r);
	cr_assert_eq(cow_file_read_begin(f, 60 * B, 100 * B, r), 0);
	cr_assert_eq(r->len, 4 * B, "cut at the end of the file");
	cow_file_read_end(r);
	free(r);
}

Test(file, seek_data_and_hole)
{
	uint64_t at = 0;

	fill(4 * B, B, 'a');
	set_size(f, 20 * B);
	cr_assert_eq(cow_file_seek(f, 0, SEEK_DATA, &at), 0);
	cr_assert_leq(at, 4 * B);
	cr_assert_eq(cow_file_seek(f, 4 * B, SEEK_HOLE, &at), 0);
	cr_assert_geq(at, 5 * B);
	cr_assert_leq(at, 20 * B);
	cr_assert_eq(cow_file_seek(f, 20 * B, SEEK_DATA, &at), -ENXIO);
	cr_assert_eq(cow_file_seek(f, 20 * B, SEEK_HOLE, &at), -ENXIO);
}

/* A file that spans more than 2^32 bytes, and a size that no host could hold. */
Test(file, offsets_of_64_bits)
{
	fill(5ull << 32, 10, 'a');
	want(5ull << 32, 10, 'a');
	want((5ull << 32) - B, B, 0);
	expect_size(&t, "main", "base/5/16384", (5ull << 32) + 10);
	cr_assert_eq(cow_file_write(f, "x", INT64_MAX, 1, 0), -EFBIG);
}

/* An O_DSYNC write is there after the machine forgot everything that was not synced (a killed
 * process). */
static void write_dsync(struct tmpstore *child, void *arg)
{
	struct cow_live *cl = live_of(child, "main");
	struct cow_inode *i = path_get(cl, "base/5/16384", NULL);
	char buf[B];

	memset(buf, 'd', sizeof(buf));
	if (!i || cow_file_write(i, buf, 0, B, COW_WRITE_DSYNC))
		_exit(4);
	memset(buf, 's', sizeof(buf));
	if (cow_file_write(i, buf, 2 * B, B, 0) || cow_file_sync(i, true))
		_exit(5);
}

Test(file, synced_writes_survive_a_kill)
{
	let_go();
	tmpstore_close(&t);
	tmpstore_crash(&t, write_dsync, NULL);
	tmpstore_open(&t);
	take_up("main");
	want(0, B, 'd');
	want(B, B, 0);
	want(2 * B, B, 's');
	expect_size(&t, "main", "base/5/16384", 3 * B);
}

struct half {
	uint64_t off;
	int byte;
};

static void *write_half(void *arg)
{
	const struct half *h = arg;
	char buf[B / 2];

	memset(buf, h->byte, sizeof(buf));
	cr_assert_eq(cow_file_write(f, buf, h->off, sizeof(buf), 0), 0);
	return NULL;
}

/* Durable writes go past the host's page cache when they are aligned, others through it: whoever
 * reads sees the last one, whichever way it came. */
Test(file, durable_and_plain_writes_see_each_other)
{
	uint8_t *aligned = NULL;

	fill(0, 4 * B, 1);
	cr_assert_eq(cow_file_sync(f, true), 0);
	cr_assert_eq(posix_memalign((void **)&aligned, 4096, B), 0);
	memset(aligned, 2, B);
	cr_assert_eq(cow_file_write(f, aligned, B, B, COW_WRITE_DSYNC), 0);
	want(B, B, 2);
	fill(B, B, 3);
	want(B, B, 3);
	cr_assert_eq(cow_file_write(f, aligned, B, B, COW_WRITE_DSYNC), 0);
	want(B, B, 2);
	memset(aligned, 4, B);
	cr_assert_eq(cow_file_write(f, aligned + 1, B + 1, B - 2, COW_WRITE_DSYNC), 0);
	want(B, 1, 2);
	want(B + 1, B - 2, 4);
	want(2 * B - 1, 1, 2);
	want(0, B, 1);
	want(2 * B, 2 * B, 1);
	free(aligned);
}

/* Two halves of one unowned block may arrive at once: neither is lost. */
Test(file, two_halves_of_one_unowned_block)
{
	fill(0, 400 * B, 'p');
	branch_make(&t, "child", "main");
	let_go();
	take_up("child");
	for (uint64_t k = 0; k < 400; k++) {
		struct half a = {k * B, 'a'}, b = {k * B + B / 2, 'b'};
		pthread_t ta, tb;

		cr_assert_eq(pthread_create(&ta, NULL, write_half, &a), 0);
		cr_assert_eq(pthread_create(&tb, NULL, write_half, &b), 0);
		pthread_join(ta, NULL);
		pthread_join(tb, NULL);
		expect_fill(&t, "child", "base/5/16384", k * B, B / 2, 'a');
		expect_fill(&t, "child", "base/5/16384", k * B + B / 2, B / 2, 'b');
	}
	want(0, 400 * B, 'p');
}

/* The run a WAL segment owns at the first write: neighbours keep what was below. */
Test(file, owning_a_run_keeps_its_neighbours)
{
	fill(0, 128 * B, 'p');
	branch_make(&t, "child", "main");
	let_go();
	take_up("child");
	cow_inode_set_own_run(f, 128);
	put_fill(&t, "child", "base/5/16384", 5 * B + 1, B, 'c');
	expect_fill(&t, "child", "base/5/16384", 0, 5 * B + 1, 'p');
	expect_fill(&t, "child", "base/5/16384", 5 * B + 1, B, 'c');
	expect_fill(&t, "child", "base/5/16384", 6 * B + 1, 122 * B - 1, 'p');
	expect_fill(&t, "child", "base/5/16384", 5 * B + 1, B, 'c');
	want(0, 128 * B, 'p');
}

static cow_errno resize(uint64_t size)
{
	const struct cow_attr a = {.size = size};

	return cow_inode_set(f, COW_SET_SIZE, &a);
}

/* A file has a largest size, whatever the host's; and cutting a sparse one costs what is in it, not
 * what it is long, and so does freeing its space. */
Test(file, the_longest_file_is_cut_at_once)
{
	struct timespec before, after;
	uint64_t at;

	cr_assert_eq(cow_file_write(f, "x", COW_FILE_MAX, 1, 0), -EFBIG);
	cr_assert_eq(cow_file_allocate(f, 0, COW_FILE_MAX - 1, 2), -EFBIG);
	cr_assert_eq(resize(COW_FILE_MAX + 1), -EFBIG);
	cr_assert_eq(resize(COW_FILE_MAX), 0);
	cr_assert_eq(cow_file_write(f, "x", COW_FILE_MAX - 1, 1, 0), 0);
	cr_assert_eq(cow_file_sync(f, false), 0);
	clock_gettime(CLOCK_MONOTONIC, &before);
	cr_assert_eq(resize(1), 0);
	cow_background_trims(t.s);
	clock_gettime(CLOCK_MONOTONIC, &after);
	cr_assert_lt(after.tv_sec - before.tv_sec, 2);
	cr_assert_eq(cow_file_seek(f, 0, SEEK_HOLE, &at), 0);
}

/* Freeing the space of a hole spares what was written into it again (rule 2). */
Test(file, freeing_spares_what_was_written_again)
{
	fill(0, 2 * CHUNK, 'a');
	cr_assert_eq(cow_file_allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * CHUNK),
		     0);
	fill(CHUNK - 3 * B, 6 * B, 'b');
	cow_background_trims(t.s);
	want(0, CHUNK - 3 * B, 0);
	want(CHUNK - 3 * B, 6 * B, 'b');
	want(CHUNK + 3 * B, CHUNK - 3 * B, 0);
}

/* The kernel sends times after the last close, of a file that has no name any more. */
Test(file, times_that_come_after_the_end_keep_no_space)
{
	struct cow_inode *i = path_make(l, "base/5/16385"), *dir = path_get(l, "base/5", NULL);
	struct cow_attr a = {.mtime = {.tv_sec = 1}};
	struct cow_store_stat before, after;

	cow_store_stat(t.s, &before);
	cr_assert_eq(cow_file_write(i, "x", 0, 1, 0), 0);
	cr_assert_eq(cow_name_unlink(dir, "16385"), 0);
	cr_assert_eq(cow_inode_set(i, COW_SET_MTIME, &a), 0);
	cow_inode_put(i);
	cow_inode_put(dir);
	cow_store_stat(t.s, &after);
	cr_assert_eq(after.open_extents, before.open_extents);
}
