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
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
		cr_assert_eq(cow_branch_reset(t.s, "child", NULL, NULL, NULL, NULL, NULL), 0);
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
			cr_assert_eq(cow_inode_open(i, true), 0);
			cr_assert_eq(cow_file_write(i, a, 0, sizeof(a), 0), 0);
			cr_assert_eq(cow_file_sync(i, false), 0);
			cow_inode_close(i, true);
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
