// SPDX-License-Identifier: Apache-2.0
/* compact: a chunk spread over many extent files is brought together, and nobody sees a difference.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "store/core.h"
#include "tests/lib/tmpstore.h"

enum { B = COW_BLOCK, EPOCHS = 40 };

static struct tmpstore t;

static void set_up(void)
{
	tmpstore_make(&t, true);
	put_fill(&t, "main", "f", 0, EPOCHS * B, 'p');
	for (int k = 0; k < EPOCHS; k++) {
		char name[16];

		snprintf(name, sizeof(name), "s%d", k);
		snapshot_make(&t, "main", name);
		put_fill(&t, "main", "f", (uint64_t)k * B, B, 'A' + k % 26);
	}
	tmpstore_reopen(&t); /* so that the chunk is resolved again, and noticed */
}

static void tear_down(void)
{
	tmpstore_release(&t);
}

TestSuite(compact, .init = set_up, .fini = tear_down, .timeout = 60);

/* The extent files that a read of the whole file touches. */
static unsigned files_of(const char *path)
{
	struct cow_live *l = live_of(&t, "main");
	struct cow_inode *i = path_get(l, path, NULL);
	struct cow_read r;
	void *seen[EPOCHS + 1];
	unsigned n = 0;

	cr_assert_eq(cow_file_read_begin(i, 0, EPOCHS * B, &r), 0);
	for (unsigned k = 0; k < r.n; k++) {
		unsigned j = 0;

		while (j < n && seen[j] != r.pins[k])
			j++;
		if (j == n)
			seen[n++] = r.pins[k];
	}
	cow_file_read_end(&r);
	cow_inode_put(i);
	cow_live_put(l);
	return n;
}

static void expect_contents(void)
{
	for (int k = 0; k < EPOCHS; k++)
		expect_fill(&t, "main", "f", (uint64_t)k * B, B, 'A' + k % 26);
	expect_fill(&t, "main@s0", "f", 0, EPOCHS * B, 'p');
	expect_fill(&t, "main@s20", "f", 19 * B, B, 'A' + 19);
	expect_fill(&t, "main@s20", "f", 20 * B, B, 'p');
}

Test(compact, brings_a_scattered_chunk_together)
{
	cr_assert_gt(files_of("f"), 16);
	cow_compact_run(t.s);
	cr_assert_eq(files_of("f"), 1);
	expect_contents();
	tmpstore_reopen(&t);
	cr_assert_eq(files_of("f"), 1);
	expect_contents();
	expect_clean(&t);
}

/* What the old epochs held goes when their snapshots do. */
Test(compact, old_places_are_freed_with_their_points)
{
	uint64_t all;

	files_of("f");
	cow_compact_run(t.s);
	sync_branch(&t, "main");
	for (int k = 0; k < EPOCHS; k++) {
		char name[16];

		snprintf(name, sizeof(name), "s%d", k);
		cr_assert_eq(cow_snapshot_delete(t.s, "main", name, NULL), 0);
	}
	expect_clean(&t);
	all = host_bytes(&t);
	cr_assert_leq(all, (EPOCHS + 2) * B, "%llu bytes", (unsigned long long)all);
}

/* It is upkeep: the file's times do not move. */
Test(compact, leaves_times_alone)
{
	struct cow_live *l = live_of(&t, "main");
	struct cow_inode *i = path_get(l, "f", NULL);
	struct cow_attr before, after;

	files_of("f");
	cow_inode_attr(i, &before);
	cow_compact_run(t.s);
	cow_inode_attr(i, &after);
	cr_assert_eq(before.mtime.tv_sec, after.mtime.tv_sec);
	cr_assert_eq(before.mtime.tv_nsec, after.mtime.tv_nsec);
	cow_inode_put(i);
	cow_live_put(l);
}
