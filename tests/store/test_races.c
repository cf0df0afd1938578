// SPDX-License-Identifier: Apache-2.0
/* races: many threads on the same files while points are taken, dropped and collected.
 *
 * Every writer owns some bytes of every file (a block, or half of one) and writes only a stamp that
 * says which bytes and which round; so any mixture of old and new is told from a wrong one, in the
 * head, in each snapshot and after reopening. Meant for ThreadSanitizer as much as for its own
 * checks: tests/run --tsan. COWFS_RACE_SECONDS sets how long each case runs (default 3). */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/core.h"
#include "store/upkeep.h"
#include "tests/lib/tmpstore.h"

enum { B = COW_BLOCK, HALF = B / 2, BLOCKS = 64, WRITERS = 4 };

static struct tmpstore t;
static _Atomic bool stop;

static void set_up(void)
{
	tmpstore_make(&t, true);
	put_fill(&t, "main", "f", 0, BLOCKS * B, 0);
	sync_branch(&t, "main");
	stop = false;
}

static void tear_down(void)
{
	tmpstore_release(&t);
}

TestSuite(races, .init = set_up, .fini = tear_down, .timeout = 120);

static void run_for_a_while(void)
{
	const char *text = getenv("COWFS_RACE_SECONDS");
	struct timespec span = {.tv_sec = text ? atoi(text) : 3};

	nanosleep(&span, NULL);
	stop = true;
}

/* Half `half` of the file, written in round `round`. */
static void fill_stamp(uint64_t *buf, uint64_t half, uint64_t round)
{
	for (size_t k = 0; k < HALF / sizeof(*buf); k++)
		buf[k] = half << 32 | round;
}

/* The round a half was written in, 0 = never; ends the test if it is a mixture or somebody else's.
 */
static uint64_t round_of(const uint64_t *buf, uint64_t half, const char *where)
{
	for (size_t k = 1; k < HALF / sizeof(*buf); k++)
		cr_assert_eq(buf[k], buf[0], "%s: half %llu is torn", where,
			     (unsigned long long)half);
	if (buf[0] == 0)
		return 0;
	cr_assert_eq(buf[0] >> 32, half, "%s: half %llu holds half %llu", where,
		     (unsigned long long)half, (unsigned long long)(buf[0] >> 32));
	return buf[0] & UINT32_MAX;
}

struct writer {
	unsigned me;
	uint64_t last[2 * BLOCKS]; /* round written last, per half */
};

/* Each half belongs to one writer; neighbours belong to others, so unowned blocks get both halves
 * at once. */
static void *write_halves(void *arg)
{
	struct writer *w = arg;
	struct cow_live *l = live_of(&t, "main");
	struct cow_inode *i = path_get(l, "f", NULL);
	uint64_t buf[HALF / sizeof(uint64_t)];
	unsigned seed = w->me;

	for (uint64_t round = 1; !stop; round++) {
		uint64_t half =
		    (uint64_t)(rand_r(&seed) % (2 * BLOCKS / WRITERS)) * WRITERS + w->me;

		fill_stamp(buf, half, round);
		cr_assert_eq(
		    cow_file_write(i, buf, half * HALF, HALF, round % 7 ? 0 : COW_WRITE_DSYNC), 0);
		w->last[half] = round;
		if (round % 50 == 0)
			cr_assert_eq(cow_file_sync(i, round % 100 == 0), 0);
	}
	cow_inode_put(i);
	cow_live_put(l);
	return NULL;
}

static void *read_halves(void *arg)
{
	struct cow_live *l = live_of(&t, "main");
	struct cow_inode *i = path_get(l, "f", NULL);
	uint64_t buf[HALF / sizeof(uint64_t)];
	unsigned seed = 99;
	size_t n;

	while (!stop) {
		uint64_t half = (uint64_t)(rand_r(&seed) % (2 * BLOCKS));

		cr_assert_eq(cow_file_read(i, buf, half * HALF, HALF, &n), 0);
		cr_assert_eq(n, HALF);
		/* A read beside a write may see both; but nothing that was never written there. */
		for (size_t k = 0; k < HALF / sizeof(*buf); k++)
			cr_assert(buf[k] == 0 || buf[k] >> 32 == half);
	}
	cow_inode_put(i);
	cow_live_put(l);
	return NULL;
}

static int check_halves(const char *reference, uint64_t rounds[2 * BLOCKS])
{
	struct cow_live *l = NULL;
	struct cow_inode *i;
	uint64_t buf[HALF / sizeof(uint64_t)];
	size_t n;

	if (cow_live_get_point(t.s, reference, &l, NULL) < 0)
		return -1;
	i = path_get(l, "f", NULL);
	for (uint64_t half = 0; half < 2 * BLOCKS; half++) {
		cr_assert_eq(cow_file_read(i, buf, half * HALF, HALF, &n), 0);
		rounds[half] = round_of(buf, half, reference);
	}
	cow_inode_put(i);
	cow_live_put(l);
	return 0;
}

/* A point never changes, whatever goes on in the head and in gc; and it holds each write in whole.
 */
static void *take_points(void *arg)
{
	uint64_t first[2 * BLOCKS], again[2 * BLOCKS];
	unsigned n = 0;

	while (!stop) {
		char name[32], ref[48];

		snprintf(name, sizeof(name), "s%u", n++);
		snprintf(ref, sizeof(ref), "main@%s", name);
		snapshot_make(&t, "main", name);
		check_halves(ref, first);
		if (n > 3) {
			snprintf(name, sizeof(name), "s%u", n - 3);
			cr_assert_eq(cow_snapshot_delete(t.s, "main", name, NULL), 0);
		}
		check_halves(ref, again);
		cr_assert_arr_eq(first, again, sizeof(first), "%s changed", ref);
	}
	return NULL;
}

/* Points that come and go without being looked at. */
static void *take_points_lightly(void *arg)
{
	for (unsigned n = 0; !stop; n++) {
		char name[32];

		snprintf(name, sizeof(name), "p%u", n);
		snapshot_make(&t, "main", name);
		if (n % 3)
			cr_assert_eq(cow_snapshot_delete(t.s, "main", name, NULL), 0);
	}
	return NULL;
}

static void *make_branches(void *arg)
{
	uint64_t rounds[2 * BLOCKS];

	while (!stop) {
		branch_make(&t, "child", "main");
		put_fill(&t, "child", "g", 0, 3 * B, 'g');
		check_halves("child", rounds);
		cr_assert_eq(
		    cow_branch_reset(t.s, &(struct cow_branch_reset){.name = "child"}, NULL), 0);
		check_halves("child", rounds);
		branch_drop(&t, "child");
	}
	return NULL;
}

static void *collect(void *arg)
{
	struct cow_gc_result g;

	while (!stop)
		cr_assert_eq(cow_gc_run(t.s, &g, NULL), 0);
	return NULL;
}

/* Halves of unowned blocks, reads, points, branches, resets and gc, all at once. */
Test(races, points_branches_and_gc_under_writers)
{
	void *(*const others[])(void *) = {read_halves, take_points, make_branches, collect};
	static struct writer w[WRITERS];
	pthread_t threads[WRITERS + 4];
	uint64_t rounds[2 * BLOCKS];

	for (unsigned k = 0; k < WRITERS; k++) {
		w[k].me = k;
		pthread_create(&threads[k], NULL, write_halves, &w[k]);
	}
	for (unsigned k = 0; k < 4; k++)
		pthread_create(&threads[WRITERS + k], NULL, others[k], NULL);
	run_for_a_while();
	for (unsigned k = 0; k < WRITERS + 4; k++)
		pthread_join(threads[k], NULL);
	for (int reopened = 0; reopened < 2; reopened++) {
		cr_assert_eq(check_halves("main", rounds), 0);
		for (uint64_t half = 0; half < 2 * BLOCKS; half++)
			cr_assert_eq(rounds[half], w[half % WRITERS].last[half],
				     "half %llu: %llu, %llu", (unsigned long long)half,
				     (unsigned long long)rounds[half],
				     (unsigned long long)w[half % WRITERS].last[half]);
		expect_clean(&t);
		tmpstore_reopen(&t);
	}
}

/* --- cutting and growing a file while it is written, collected and snapshotted --- */

static void *cut_and_grow(void *arg)
{
	struct cow_live *l = live_of(&t, "main");
	struct cow_inode *i = path_get(l, "f", NULL);
	unsigned seed = 7;

	while (!stop) {
		/* Whole words, so that a cut leaves none half. */
		struct cow_attr a = {.size = (uint64_t)(rand_r(&seed) % (BLOCKS * B / 8)) * 8};

		cr_assert_eq(cow_inode_set(i, COW_SET_SIZE, &a), 0);
		cr_assert_eq(cow_file_allocate(i, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					       a.size / 16 * 8, B * 5),
			     0);
		a.size = BLOCKS * B;
		cr_assert_eq(cow_inode_set(i, COW_SET_SIZE, &a), 0);
		cr_assert_eq(cow_file_sync(i, false), 0);
	}
	cow_inode_put(i);
	cow_live_put(l);
	return NULL;
}

static void *write_blocks(void *arg)
{
	struct cow_live *l = live_of(&t, "main");
	struct cow_inode *i = path_get(l, "f", NULL);
	uint64_t buf[HALF / sizeof(uint64_t)];
	unsigned seed = 3;

	for (uint64_t round = 1; !stop; round++) {
		uint64_t half = (uint64_t)(rand_r(&seed) % (2 * BLOCKS));

		fill_stamp(buf, half, round);
		cr_assert_eq(cow_file_write(i, buf, half * HALF, HALF, 0), 0);
	}
	cow_inode_put(i);
	cow_live_put(l);
	return NULL;
}

/* What is read was written there or is zero, however often the end moves: no block of elsewhere, no
 * old tail. */
static void *read_stamps(void *arg)
{
	struct cow_live *l = live_of(&t, "main");
	struct cow_inode *i = path_get(l, "f", NULL);
	uint64_t buf[HALF / sizeof(uint64_t)];
	unsigned seed = 5;
	size_t n;

	while (!stop) {
		uint64_t half = (uint64_t)(rand_r(&seed) % (2 * BLOCKS));

		cr_assert_eq(cow_file_read(i, buf, half * HALF, HALF, &n), 0);
		for (size_t k = 0; k < n / sizeof(*buf); k++)
			cr_assert(buf[k] == 0 || buf[k] >> 32 == half);
	}
	cow_inode_put(i);
	cow_live_put(l);
	return NULL;
}

Test(races, a_truncate_against_gc_and_writers)
{
	void *(*const work[])(void *) = {cut_and_grow, write_blocks, read_stamps, collect,
					 take_points_lightly};
	pthread_t threads[5];

	for (unsigned k = 0; k < 5; k++)
		pthread_create(&threads[k], NULL, work[k], NULL);
	run_for_a_while();
	for (unsigned k = 0; k < 5; k++)
		pthread_join(threads[k], NULL);
	expect_clean(&t);
}

/* --- names --- */

static void *make_and_break_names(void *arg)
{
	struct cow_live *l = live_of(&t, "main");
	unsigned me = (unsigned)(uintptr_t)arg, seed = me;
	struct cow_inode *root = NULL;

	cr_assert_eq(cow_inode_get(l, cow_live_root(l), &root), 0);
	while (!stop) {
		char a[16], b[16];
		struct cow_inode *i = NULL;
		int r;

		snprintf(a, sizeof(a), "n%d", rand_r(&seed) % 8);
		snprintf(b, sizeof(b), "n%d", rand_r(&seed) % 8);
		r = cow_name_create(root, a, &(struct cow_name_create){.mode = S_IFREG | 0600}, &i);
		cr_assert(r == 0 || r == -EEXIST, "create: %d", r);
		if (r == 0) {
			/* Another thread may have unlinked it already; then it is not to be had. */
			r = cow_inode_open(i, true);
			cr_assert(r == 0 || r == -ESTALE, "open: %d", r);
			if (r == 0) {
				cr_assert_eq(cow_file_write(i, a, 0, sizeof(a), 0), 0);
				cr_assert_eq(cow_file_sync(i, false), 0);
				cow_inode_close(i, true);
			}
			cow_inode_put(i);
		}
		r = cow_name_rename(root, a, root, b, 0);
		cr_assert(r == 0 || r == -ENOENT, "rename: %d", r);
		r = cow_name_unlink(root, rand_r(&seed) % 2 ? a : b);
		cr_assert(r == 0 || r == -ENOENT, "unlink: %d", r);
	}
	cow_inode_put(root);
	cow_live_put(l);
	return NULL;
}

/* Creating, renaming over and unlinking the same few names from several threads, under points and
 * gc. */
Test(races, names_under_points_and_gc)
{
	pthread_t threads[5];

	for (uintptr_t k = 0; k < 3; k++)
		pthread_create(&threads[k], NULL, make_and_break_names, (void *)(k + 1));
	pthread_create(&threads[3], NULL, collect, NULL);
	pthread_create(&threads[4], NULL, take_points_lightly, NULL);
	run_for_a_while();
	for (unsigned k = 0; k < 5; k++)
		pthread_join(threads[k], NULL);
	expect_clean(&t);
	tmpstore_reopen(&t);
	expect_clean(&t);
}

/* --- two threads on the same block, by name --- */

struct block_work {
	struct cow_inode *i;
	uint64_t done;
	unsigned me;
};

/* Whole blocks of a round's stamp, over and over into the same few. */
static void *rewrite_blocks(void *arg)
{
	static uint64_t buf[B / sizeof(uint64_t)];
	struct block_work *w = arg;

	for (uint64_t round = 1; !stop; round++) {
		uint64_t block = round % 4;

		for (size_t k = 0; k < B / sizeof(*buf); k++)
			buf[k] = block << 32 | round;
		cr_assert_eq(cow_file_write(w->i, buf, block * B, B, 0), 0);
		if (round % 20 == 0)
			cr_assert_eq(cow_file_sync(w->i, true), 0);
		w->done++;
	}
	return NULL;
}

static void *punch_blocks(void *arg)
{
	struct block_work *w = arg;

	for (uint64_t n = 0; !stop; n++) {
		cr_assert_eq(cow_file_allocate(w->i, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					       n % 4 * B, B),
			     0);
		w->done++;
		if (n % 8 == 0)
			cow_background_trims(t.s);
	}
	return NULL;
}

/* A block is what one write made of it or a hole: no half of either, now and after reopening. */
static void expect_whole(struct cow_inode *i)
{
	uint64_t buf[B / sizeof(uint64_t)];
	size_t n;

	for (uint64_t block = 0; block < 4; block++) {
		cr_assert_eq(cow_file_read(i, buf, block * B, B, &n), 0);
		cr_assert_eq(n, B);
		cr_assert(buf[0] == 0 || buf[0] >> 32 == block);
		for (size_t k = 1; k < B / sizeof(*buf); k++)
			cr_assert_eq(buf[k], buf[0], "block %llu is torn",
				     (unsigned long long)block);
	}
}

/* Runs each of `work` in a thread on one file of main for a while; the sum of what they did. */
static uint64_t race(void *(*const *work)(void *), unsigned n)
{
	struct block_work w[8] = {{NULL}};
	pthread_t threads[8];
	struct cow_live *l = live_of(&t, "main");
	struct cow_inode *i = path_get(l, "f", NULL);
	uint64_t done = 0;

	for (unsigned k = 0; k < n; k++) {
		w[k] = (struct block_work){.i = i, .me = k};
		pthread_create(&threads[k], NULL, work[k], &w[k]);
	}
	run_for_a_while();
	for (unsigned k = 0; k < n; k++) {
		pthread_join(threads[k], NULL);
		done += w[k].done;
	}
	cow_inode_put(i);
	cow_live_put(l);
	return done;
}

/* The block written again in the meantime stays, and the punch does not take what it must not
 * (rule 2). */
Test(races, a_punch_against_a_rewrite_of_the_same_block)
{
	void *(*const work[])(void *) = {rewrite_blocks, punch_blocks, take_points_lightly};
	struct cow_live *l;
	struct cow_inode *i;

	cr_assert_gt(race(work, 3), 1000);
	for (int reopened = 0; reopened < 2; reopened++) {
		l = live_of(&t, "main");
		i = path_get(l, "f", NULL);
		expect_whole(i);
		cow_inode_put(i);
		cow_live_put(l);
		expect_clean(&t);
		tmpstore_reopen(&t);
	}
}

/* Reads a snapshot that is about to go, with the reference it holds: what it shows stays until the
 * read has ended (rule 8). */
static void *read_what_goes(void *arg)
{
	struct block_work *w = arg;
	uint8_t buf[8 * B];
	size_t n;

	while (!stop) {
		struct cow_live *l = NULL;
		struct cow_inode *i;
		struct cow_read r;

		if (cow_live_get_point(t.s, "main@going", &l, NULL) < 0)
			continue;
		i = path_get(l, "f", NULL);
		cr_assert_eq(cow_file_read_begin(i, 0, sizeof(buf), &r), 0);
		sched_yield();
		for (unsigned k = 0, at = 0; k < r.n; at += r.seg[k++].len)
			if (r.seg[k].fd >= 0)
				cr_assert_eq(
				    pread(r.seg[k].fd, buf + at, r.seg[k].len, (off_t)r.seg[k].pos),
				    (ssize_t)r.seg[k].len);
			else
				memset(buf + at, 0xff, r.seg[k].len);
		cow_file_read_end(&r);
		/* A block of a point is one round's: the writer fills all of them alike. */
		for (n = 1; n < sizeof(buf); n++)
			cr_assert_eq(buf[n], buf[0], "byte %zu: %#x, not %#x", n, buf[n], buf[0]);
		w->done++;
		cow_inode_put(i);
		cow_live_put(l);
	}
	return NULL;
}

static void *make_what_goes(void *arg)
{
	struct block_work *w = arg;

	for (int round = 1; !stop; round++) {
		put_fill(&t, "main", "f", 0, 8 * B, 1 + round % 200);
		snapshot_make(&t, "main", "going");
		put_fill(&t, "main", "f", 0, 8 * B, 1 + (round + 1) % 200);
		cr_assert_eq(cow_snapshot_delete(t.s, "main", "going", NULL), 0);
		w->done++;
	}
	return NULL;
}

Test(races, a_free_under_a_reader)
{
	void *(*const work[])(void *) = {make_what_goes, read_what_goes, read_what_goes, collect};

	put_fill(&t, "main", "f", 0, 8 * B, 1);
	cr_assert_gt(race(work, 4), 20);
	expect_clean(&t);
}

/* Each thread has its half of every block; the blocks are inherited, so the first write of either
 * half copies the block. */
static void *write_my_half(void *arg)
{
	struct block_work *w = arg;
	uint64_t buf[HALF / sizeof(uint64_t)];

	for (uint64_t block = 0; block < BLOCKS; block++) {
		fill_stamp(buf, 2 * block + w->me, 7);
		cr_assert_eq(cow_file_write(w->i, buf, (2 * block + w->me) * HALF, HALF, 0), 0);
		w->done++;
	}
	return NULL;
}

Test(races, two_halves_of_one_unowned_block)
{
	const char *text = getenv("COWFS_RACE_SECONDS");
	time_t end = time(NULL) + (text ? atoi(text) : 3);
	uint64_t rounds[2 * BLOCKS], done = 0;

	for (int n = 0; n == 0 || time(NULL) < end; n++) {
		struct block_work w[2];
		pthread_t threads[2];
		struct cow_live *l;

		branch_make(&t, "twice", "main");
		l = live_of(&t, "twice");
		for (unsigned k = 0; k < 2; k++) {
			w[k] = (struct block_work){.i = path_get(l, "f", NULL), .me = k};
			pthread_create(&threads[k], NULL, write_my_half, &w[k]);
		}
		for (unsigned k = 0; k < 2; k++) {
			pthread_join(threads[k], NULL);
			done += w[k].done;
			cow_inode_put(w[k].i);
		}
		cow_live_put(l);
		cr_assert_eq(check_halves("twice", rounds), 0);
		for (unsigned half = 0; half < 2 * BLOCKS; half++)
			cr_assert_eq(rounds[half], 7, "half %u was lost", half);
		branch_drop(&t, "twice");
	}
	cr_assert_geq(done, 2 * BLOCKS);
	expect_clean(&t);
}
