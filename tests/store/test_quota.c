// SPDX-License-Identifier: Apache-2.0
/* What a branch has of its own, and what a quota refuses. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/branch.h"
#include "store/cleanup.h"
#include "store/file.h"
#include "tests/lib/tmpstore.h"

#define BLOCKS(n) ((uint64_t)(n)*COW_BLOCK)

static struct tmpstore t;

static void start(void)
{
	tmpstore_make(&t, true);
}

static void finish(void)
{
	tmpstore_release(&t);
}

TestSuite(quota, .init = start, .fini = finish);

static void set_quota(const char *branch, uint64_t bytes)
{
	struct cow_error e = COW_ERROR_INIT;

	cr_assert_eq(cow_branch_set_quota(t.s, branch, bytes, &e), 0, "%s", e.text);
}

static uint64_t used(const char *branch)
{
	uint64_t bytes = 0;
	cow_errno r = cow_branch_quota(t.s, branch, &bytes, NULL);

	cr_assert_eq(r, 0, "quota of %s: %d", branch, r);
	return bytes;
}

/* One write of `n` blocks at block `at`. */
static cow_errno write_at(const char *branch, const char *path, uint64_t at, uint64_t n,
			  unsigned flags)
{
	struct cow_live *l = live_of(&t, branch);
	struct cow_inode *i = path_make(l, path);
	char *buf = calloc(1, BLOCKS(n));
	cow_errno r = cow_file_write(i, buf, BLOCKS(at), BLOCKS(n), flags);

	free(buf);
	cow_inode_put(i);
	cow_live_put(l);
	return r;
}

static void change(const char *branch, const char *path, int mode, uint64_t at, uint64_t n)
{
	struct cow_live *l = live_of(&t, branch);
	struct cow_inode *i = path_make(l, path);
	struct cow_attr a = {.size = BLOCKS(at)};

	cr_assert_eq(n ? cow_file_allocate(i, mode, BLOCKS(at), BLOCKS(n))
		       : cow_inode_set(i, COW_SET_SIZE, &a),
		     0);
	cow_inode_put(i);
	cow_live_put(l);
}

/* What is kept in memory is what the map says. */
static void expect_used(const char *branch, uint64_t blocks)
{
	cr_assert_eq(used(branch), BLOCKS(blocks), "%s: %llu blocks, not %llu", branch,
		     (unsigned long long)used(branch) / COW_BLOCK, (unsigned long long)blocks);
	sync_branch(&t, branch);
	tmpstore_reopen(&t);
	cr_assert_eq(used(branch), BLOCKS(blocks), "%s counted again: %llu blocks, not %llu",
		     branch, (unsigned long long)used(branch) / COW_BLOCK,
		     (unsigned long long)blocks);
}

Test(quota, new_blocks_beyond_it_are_refused_and_nothing_is_spoilt)
{
	set_quota("main", BLOCKS(10));
	cr_assert_eq(write_at("main", "f", 0, 8, COW_WRITE_BOUND), 0);
	cr_assert_eq(write_at("main", "f", 8, 3, COW_WRITE_BOUND), -EDQUOT);
	cr_assert_eq(write_at("main", "f", 8, 2, COW_WRITE_BOUND), 0);
	cr_assert_eq(write_at("main", "f", 10, 1, COW_WRITE_BOUND), -EDQUOT);
	cr_assert_eq(write_at("main", "f", 3, 4, COW_WRITE_BOUND), 0, "what exists can be changed");
	expect_size(&t, "main", "f", BLOCKS(10));
	expect_used("main", 10);
	set_quota("main", BLOCKS(11));
	cr_assert_eq(write_at("main", "f", 10, 1, COW_WRITE_BOUND), 0, "raising it heals");
	expect_used("main", 11);
}

Test(quota, the_first_blocks_of_a_file_have_a_margin)
{
	cow_errno r = 0;
	int k = 0;

	set_quota("main", BLOCKS(1));
	for (; r == 0 && k < 10000; k++) {
		char path[16];

		snprintf(path, sizeof(path), "f%d", k);
		r = write_at("main", path, 0, 8, COW_WRITE_BOUND);
	}
	cr_assert_eq(r, -EDQUOT);
	cr_assert_eq(used("main"), BLOCKS(2048), "the margin is 16 MiB, not %llu",
		     (unsigned long long)used("main"));
}

Test(quota, whatever_is_not_bound_is_charged_and_not_refused)
{
	set_quota("main", BLOCKS(2));
	cr_assert_eq(write_at("main", "pg_wal", 0, 5, 0), 0);
	cr_assert_eq(write_at("main", "postmaster.pid", 0, 1, COW_WRITE_DSYNC), 0);
	expect_used("main", 6);
}

Test(quota, what_is_inherited_is_free_until_it_is_written)
{
	cr_assert_eq(write_at("main", "f", 0, 100, 0), 0);
	branch_make(&t, "b", "main");
	set_quota("b", BLOCKS(10));
	expect_used("b", 0);
	cr_assert_eq(write_at("b", "f", 0, 7, COW_WRITE_BOUND), 0);
	expect_used("b", 7);
	/* A changed page of postgres is in its log already: it is never refused. */
	cr_assert_eq(write_at("b", "f", 7, 20, COW_WRITE_BOUND), 0);
	expect_used("b", 27);
	cr_assert_eq(write_at("b", "f", 100, 1, COW_WRITE_BOUND), -EDQUOT);
}

Test(quota, cutting_punching_and_deleting_give_back)
{
	cr_assert_eq(write_at("main", "f", 0, 1500, 0), 0);
	branch_make(&t, "b", "main");
	set_quota("b", BLOCKS(4000));
	cr_assert_eq(write_at("b", "f", 1000, 1500, 0), 0);
	cr_assert_eq(write_at("b", "g", 0, 300, 0), 0);
	expect_used("b", 1800);
	change("b", "f", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 900, 200);
	expect_used("b", 1700);
	change("b", "f", 0, 2000, 0);
	expect_used("b", 1200);
	change("b", "f", 0, 0, 0);
	expect_used("b", 300);
	{
		struct cow_live *l = live_of(&t, "b");
		struct cow_inode *root;

		cr_assert_eq(cow_inode_get(l, cow_live_root(l), &root), 0);
		cr_assert_eq(cow_name_unlink(root, "g"), 0);
		cow_inode_put(root);
		cow_live_put(l);
	}
	expect_used("b", 0);
}

Test(quota, snapshots_do_not_count)
{
	set_quota("main", BLOCKS(10));
	for (int k = 0; k < 5; k++) {
		char name[8] = {'s', (char)('0' + k)};

		cr_assert_eq(write_at("main", "f", 0, 6, COW_WRITE_BOUND), 0);
		snapshot_make(&t, "main", name);
	}
	expect_used("main", 6);
}

Test(quota, it_can_be_set_while_the_branch_is_written_to)
{
	cr_assert_eq(write_at("main", "f", 0, 50, 0), 0);
	cr_assert_eq(write_at("main", "g", 0, 5, 0), 0);
	set_quota("main", BLOCKS(60));
	expect_used("main", 55);
	set_quota("main", 0);
	cr_assert_eq(write_at("main", "g", 5, 20, COW_WRITE_BOUND), 0, "none is none");
	set_quota("main", BLOCKS(60));
	expect_used("main", 75);
}

Test(quota, it_stays_with_the_name)
{
	struct cow_branch_info b;
	struct cow_error e = COW_ERROR_INIT;

	cr_assert_eq(write_at("main", "f", 0, 5, 0), 0);
	branch_make(&t, "b", "main");
	set_quota("b", BLOCKS(3));
	cr_assert_eq(write_at("b", "f", 0, 5, 0), 0);
	cr_assert_eq(cow_branch_reset(t.s, &(struct cow_branch_reset){.name = "b"}, &e), 0, "%s",
		     e.text);
	expect_used("b", 0);
	cr_assert_eq(cow_branch_get(t.s, "b", &b, &e), 0);
	cr_assert_eq(b.quota, BLOCKS(3));
	cow_branch_info_release(&b);
}

/* Under a quota preallocation is refused in the way that makes postgres write instead. */
Test(quota, preallocation_makes_the_caller_write)
{
	struct cow_live *l;
	struct cow_inode *i;

	set_quota("main", BLOCKS(10));
	l = live_of(&t, "main");
	i = path_make(l, "f");
	cr_assert_eq(cow_file_allocate(i, 0, 0, BLOCKS(4)), -EOPNOTSUPP);
	cow_inode_put(i);
	cow_live_put(l);
}

/* Random changes; at the end memory and map agree. */
Test(quota, random_changes_keep_the_count)
{
	srandom(7);
	set_quota("main", BLOCKS(1u << 20));
	for (int k = 0; k < 400; k++) {
		char path[2] = {(char)('a' + random() % 4)};
		uint64_t at = (uint64_t)random() % 3000, n = 1 + (uint64_t)random() % 300;

		switch (random() % 8) {
		case 0:
			change("main", path, 0, at, 0);
			break;
		case 1:
			change("main", path, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n);
			break;
		case 2:
			if (k % 5 == 0)
				snapshot_make(&t, "main",
					      (char[]){'s', (char)('0' + k % 10),
						       (char)('0' + k / 10 % 10),
						       (char)('0' + k / 100), 0});
			break;
		default:
			cr_assert_eq(write_at("main", path, at, n, 0), 0);
		}
	}
	{
		uint64_t kept = used("main");

		sync_branch(&t, "main");
		tmpstore_reopen(&t);
		cr_assert_eq(used("main"), kept, "counted %llu, kept %llu",
			     (unsigned long long)used("main") / COW_BLOCK,
			     (unsigned long long)kept / COW_BLOCK);
	}
}
