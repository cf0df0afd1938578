// SPDX-License-Identifier: Apache-2.0
/* touched: what a chain of forks costs, counted in questions to the map, and that what is not asked
 * is never missed. */
#include "store/touched.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "store/cleanup.h"
#include "tests/lib/kv_mem.h"
#include "tests/lib/tmpstore.h"

enum { DEEP = 100, FILES = 20 };

static struct tmpstore t;
static struct kv_mem_disk *disk;

static void open_over_disk(void)
{
	const struct cow_store_options o = {.no_background = true};
	struct cow_kv *kv;

	cr_assert_eq(kv_mem_open(disk, &kv), 0);
	cr_assert_eq(cow_store_open_kv(t.path, &o, kv, &t.s, NULL), 0);
}

static void level_name(char name[32], int level)
{
	if (level)
		snprintf(name, 32, "level%d", level);
	else
		strcpy(name, "main");
}

/* main with FILES files in a directory, and forks of forks, each of which has files of its own
 * there, changes one that all have, and takes one away. */
static void set_up(void)
{
	const struct cow_branch_create empty = {.name = "main", .empty = true, .root_mode = 0700};
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	struct cow_kv *kv;
	char name[32], parent[32], path[64];

	tmpstore_make(&t, false);
	tmpstore_close(&t);
	disk = kv_mem_disk_new();
	cow_meta_put(&b, "commit", 1000); /* not behind COMMIT beside it */
	cr_assert_eq(kv_mem_open(disk, &kv), 0);
	cr_assert_eq(cow_kv_write(kv, &b, true), 0);
	kv->ops->close(kv);
	open_over_disk();
	cr_assert_eq(cow_branch_create(t.s, &empty, NULL), 0);
	for (int k = 0; k < FILES; k++) {
		snprintf(path, sizeof(path), "base/%d", k);
		put_text(&t, "main", path, "of main");
	}
	for (int k = 1; k <= DEEP; k++) {
		level_name(name, k);
		level_name(parent, k - 1);
		branch_make(&t, name, parent);
		snprintf(path, sizeof(path), "own/of-%s", name);
		put_text(&t, name, path, name);
	}
}

static void tear_down(void)
{
	tmpstore_release(&t);
	kv_mem_disk_free(disk);
}

TestSuite(touched, .init = set_up, .fini = tear_down, .timeout = 120);

static unsigned reads(void)
{
	return kv_mem_calls(disk, KV_MEM_GET) + kv_mem_calls(disk, KV_MEM_SEEK) +
	       kv_mem_calls(disk, KV_MEM_SCAN);
}

static int count_name(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

static unsigned entries(const char *branch, const char *path)
{
	struct cow_live *l = live_of(&t, branch);
	struct cow_inode *dir = path_get(l, path, NULL);
	unsigned n = 0;

	cr_assert_eq(cow_name_each(dir, count_name, &n), 0);
	cow_inode_put(dir);
	cow_live_put(l);
	return n;
}

/* What a server does with a new branch, in small: each file is looked up and read, names that are
 * not there are asked for, a directory is listed, a file is made. The questions that this took. */
static unsigned use(const char *branch)
{
	unsigned before = reads();
	char path[64];

	for (int k = 0; k < FILES; k++) {
		snprintf(path, sizeof(path), "base/%d", k);
		expect_text(&t, branch, path, "of main");
		snprintf(path, sizeof(path), "base/%d_vm", k);
		expect_missing(&t, branch, path);
	}
	cr_assert_geq(entries(branch, "base"), FILES);
	put_text(&t, branch, "base/pid", "mine");
	return reads() - before;
}

static unsigned make_and_use(const char *name, const char *parent)
{
	unsigned before = reads();

	branch_make(&t, name, parent);
	use(name);
	return reads() - before;
}

/* The second branch of a parent: the first one may close the parent's epoch. */
static unsigned cost_over(const char *parent)
{
	static int n;
	char name[32];

	snprintf(name, sizeof(name), "first%d", ++n);
	make_and_use(name, parent);
	snprintf(name, sizeof(name), "second%d", n);
	return make_and_use(name, parent);
}

/* Creating a branch and using it asks the map as often a hundred forks deep as one deep. */
Test(touched, depth_costs_no_reads)
{
	unsigned one = cost_over("level1"), ten = cost_over("level10"),
		 deep = cost_over("level100");

	cr_assert_eq(ten, one, "%u, one deep %u", ten, one);
	cr_assert_eq(deep, one, "%u, one deep %u", deep, one);
	cr_assert_lt(one, 15 * FILES, "%u", one);
}

/* After a restart each lineage is read once: its record, what it has of inodes, of names. */
Test(touched, after_a_restart_each_lineage_is_read_once)
{
	unsigned warm = cost_over("level100"), cold;

	cow_store_close(t.s, NULL);
	open_over_disk();
	cold = make_and_use("cold", "level100");
	cr_assert_leq(cold, warm + 3 * DEEP + 20, "cold %u, warm %u", cold, warm);
	cr_assert_eq(cost_over("level100"), warm);
}

/* What a lineage has is found, whoever wrote it: an earlier process, or this one before or after
 * its set was read, while a child was looking. */
Test(touched, what_is_written_late_is_found)
{
	for (int round = 0; round < 2; round++) {
		char name[32], path[64];

		cr_assert_eq(entries("level100", "own"), DEEP);
		snprintf(name, sizeof(name), "late%d", round);
		branch_make(&t, name, "level50");
		use(name);
		snprintf(path, sizeof(path), "base/late%d", round);
		put_text(&t, "level50", path, "late");
		put_text(&t, "level50", "base/3", "changed");
		branch_make(&t, "after", "level50");
		expect_text(&t, "after", path, "late");
		expect_text(&t, "after", "base/3", "changed");
		expect_missing(&t, name, path);
		expect_text(&t, name, "base/3", "of main");
		branch_drop(&t, "after");
		put_text(&t, "level50", "base/3", "of main");
		cow_store_close(t.s, NULL);
		open_over_disk();
	}
	for (int k = 1; k <= DEEP; k++) {
		char name[32], path[64];

		level_name(name, k);
		snprintf(path, sizeof(path), "own/of-%s", name);
		expect_text(&t, "level100", path, name);
	}
	expect_clean(&t);
}

/* A name that went on one level stays away above it, and is seen again where it was made again. */
Test(touched, whiteouts_deep_in_the_chain_hold)
{
	struct cow_live *l;
	struct cow_inode *dir;

	branch_make(&t, "without", "level100");
	l = live_of(&t, "without");
	dir = path_get(l, "base", NULL);
	cr_assert_eq(cow_name_unlink(dir, "7"), 0);
	cow_inode_put(dir);
	cow_live_put(l);
	branch_make(&t, "above", "without");
	expect_missing(&t, "above", "base/7");
	put_text(&t, "above", "base/7", "again");
	branch_make(&t, "top", "above");
	expect_text(&t, "top", "base/7", "again");
	expect_missing(&t, "without", "base/7");
	cow_store_close(t.s, NULL);
	open_over_disk();
	expect_text(&t, "top", "base/7", "again");
	expect_missing(&t, "without", "base/7");
	expect_clean(&t);
}

/* A lineage with more records than a set may have is asked each time, and right all the same. */
Test(touched, a_full_set_asks)
{
	struct cow_live *l;
	struct cow_touched *set;

	branch_make(&t, "full", "level1");
	l = live_of(&t, "full");
	set = l->chain[0].touched;
	cr_assert_not(cow_touched_may_have(set, cow_mark_inode(1u << 20)));
	for (uint32_t k = 1; k <= COW_TOUCHED_MAX + 1; k++)
		cow_touched_add(set, k);
	cr_assert(cow_touched_may_have(set, cow_mark_inode(1u << 20)));
	cow_live_put(l);
	branch_make(&t, "child", "full");
	use("child");
	expect_missing(&t, "child", "base/nobody");
}
