// SPDX-License-Identifier: Apache-2.0
/* names: directories, links and renames on a branch, and over what a parent has. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>

#include "store/inode.h"
#include "tests/lib/tmpstore.h"

static struct tmpstore t;
static struct cow_live *l;
static struct cow_inode *root;

static void set_up(void)
{
	tmpstore_make(&t, true);
	put_text(&t, "main", "a", "of main");
	put_text(&t, "main", "d/x", "in d");
	branch_make(&t, "child", "main");
	l = live_of(&t, "child");
	cr_assert_eq(cow_inode_get(l, cow_live_root(l), &root), 0);
}

static void tear_down(void)
{
	cow_inode_put(root);
	cow_live_put(l);
	tmpstore_release(&t);
}

TestSuite(names, .init = set_up, .fini = tear_down, .timeout = 60);

static int count(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	cr_assert(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
	++*(unsigned *)arg;
	return 0;
}

static unsigned entries(struct cow_inode *dir)
{
	unsigned n = 0;

	cr_assert_eq(cow_name_each(dir, count, &n), 0);
	return n;
}

/* Removing an inherited name hides it here only; making it again gives a new file. */
Test(names, whiteout_hides_an_inherited_name)
{
	cr_assert_eq(cow_name_unlink(root, "a"), 0);
	expect_missing(&t, "child", "a");
	cr_assert_eq(entries(root), 1);
	expect_text(&t, "main", "a", "of main");
	put_text(&t, "child", "a", "mine");
	expect_text(&t, "child", "a", "mine");
	expect_text(&t, "main", "a", "of main");
	cr_assert_eq(entries(root), 2);
}

Test(names, changes_survive_reopening)
{
	cr_assert_eq(cow_name_unlink(root, "a"), 0);
	cr_assert_eq(cow_name_rename(root, "d", root, "e", 0), 0);
	cow_inode_put(root);
	cow_live_put(l);
	tmpstore_reopen(&t);
	l = live_of(&t, "child");
	cr_assert_eq(cow_inode_get(l, cow_live_root(l), &root), 0);
	expect_missing(&t, "child", "a");
	expect_missing(&t, "child", "d/x");
	expect_text(&t, "child", "e/x", "in d");
	expect_text(&t, "main", "d/x", "in d");
}

Test(names, errors_are_those_of_posix)
{
	struct cow_name_create dir = {.mode = S_IFDIR | 0700}, file = {.mode = S_IFREG | 0600};
	struct cow_inode *d = path_get(l, "d", NULL), *a = path_get(l, "a", NULL), *i = NULL;
	char longest[300];

	cr_assert_eq(cow_name_create(root, "a", &file, &i), -EEXIST);
	cr_assert_eq(cow_name_create(root, "d", &dir, &i), -EEXIST);
	cr_assert_eq(cow_name_lookup(root, "none", &i), -ENOENT);
	cr_assert_eq(cow_name_lookup(a, "x", &i), -ENOTDIR);
	cr_assert_eq(cow_name_create(a, "x", &file, &i), -ENOTDIR);
	cr_assert_eq(cow_name_unlink(root, "none"), -ENOENT);
	cr_assert_eq(cow_name_unlink(root, "d"), -EISDIR);
	cr_assert_eq(cow_name_rmdir(root, "d"), -ENOTEMPTY);
	cr_assert_eq(cow_name_rmdir(root, "a"), -ENOTDIR);
	cr_assert_eq(cow_name_rename(root, "none", root, "b", 0), -ENOENT);
	cr_assert_eq(cow_name_rename(root, "a", root, "d", 0), -EISDIR);
	cr_assert_eq(cow_name_rename(root, "d", root, "a", 0), -ENOTDIR);
	cr_assert_eq(cow_name_rename(root, "a", root, "d", RENAME_NOREPLACE), -EEXIST);
	cr_assert_eq(cow_name_rename(root, "a", root, "b", RENAME_EXCHANGE), -ENOENT);
	cr_assert_eq(cow_name_rename(root, "a", root, "b", RENAME_WHITEOUT), -EINVAL);
	cr_assert_eq(cow_name_link(d, root, "hard"), -EPERM);
	cr_assert_eq(cow_name_link(a, root, "d"), -EEXIST);
	memset(longest, 'n', sizeof(longest));
	longest[256] = '\0';
	cr_assert_eq(cow_name_create(root, longest, &file, &i), -ENAMETOOLONG);
	longest[255] = '\0';
	cr_assert_eq(cow_name_create(root, longest, &file, &i), 0);
	cr_assert_eq(entries(root), 3);
	cow_inode_put(i);
	cow_inode_put(a);
	cow_inode_put(d);
}

Test(names, hard_links_share_contents_and_count)
{
	struct cow_inode *a = path_get(l, "a", NULL);
	struct cow_attr at;

	cr_assert_eq(cow_name_link(a, root, "b"), 0);
	put_text(&t, "child", "b", "through b");
	expect_text(&t, "child", "a", "through b");
	cow_inode_attr(a, &at);
	cr_assert_eq(at.nlink, 2);
	cr_assert_eq(cow_name_unlink(root, "a"), 0);
	cow_inode_attr(a, &at);
	cr_assert_eq(at.nlink, 1);
	expect_text(&t, "child", "b", "through b");
	expect_text(&t, "main", "a", "of main");
	cow_inode_put(a);
}

/* An open file outlives its name, and is gone for good when it is closed. */
Test(names, unlinked_open_file_stays_readable)
{
	struct cow_inode *a = path_get(l, "a", NULL);
	struct cow_attr at;
	char buf[10];
	size_t n = 0;

	cr_assert_eq(cow_inode_open(a, true), 0);
	cr_assert_eq(cow_name_unlink(root, "a"), 0);
	cr_assert_eq(cow_file_write(a, "NEW", 3, 3, 0), 0);
	cr_assert_eq(cow_file_read(a, buf, 0, 10, &n), 0);
	cr_assert(n == 7 && memcmp(buf, "of NEWn", 7) == 0);
	cow_inode_attr(a, &at);
	cr_assert_eq(at.nlink, 0);
	cr_assert_eq(cow_name_link(a, root, "again"), -ENOENT);
	cow_inode_close(a, true);
	cow_inode_put(a);
	expect_clean(&t);
	expect_text(&t, "main", "a", "of main");
}

Test(names, rename_over_replaces_at_once)
{
	struct cow_inode *a = path_get(l, "a", NULL);

	put_text(&t, "child", "new", "new contents");
	cr_assert_eq(cow_name_rename(root, "new", root, "a", 0), 0);
	expect_text(&t, "child", "a", "new contents");
	expect_missing(&t, "child", "new");
	cr_assert_eq(entries(root), 2);
	cow_inode_put(a);
	expect_clean(&t);
}

Test(names, rename_exchange_of_file_and_directory)
{
	cr_assert_eq(cow_name_rename(root, "a", root, "d", RENAME_EXCHANGE), 0);
	expect_text(&t, "child", "d", "of main");
	expect_text(&t, "child", "a/x", "in d");
	expect_text(&t, "main", "a", "of main");
}

Test(names, symlinks_keep_their_text)
{
	struct cow_name_create how = {.mode = S_IFLNK | 0777, .target = "../somewhere else"};
	struct cow_inode *s = NULL, *a = path_get(l, "a", NULL);
	char buf[64];
	size_t n = 0;

	cr_assert_eq(cow_name_create(root, "s", &how, &s), 0);
	cr_assert_eq(cow_name_readlink(s, buf, sizeof(buf), &n), 0);
	cr_assert(n == 17 && memcmp(buf, "../somewhere else", 17) == 0);
	cr_assert_eq(cow_name_readlink(s, buf, 5, &n), -ERANGE);
	cr_assert_eq(cow_name_readlink(a, buf, sizeof(buf), &n), -EINVAL);
	cow_inode_put(s);
	cow_inode_put(a);
}

/* A point is for reading. */
Test(names, a_snapshot_cannot_be_changed)
{
	struct cow_name_create how = {.mode = S_IFREG | 0600};
	struct cow_inode *r = NULL, *i = NULL;
	struct cow_live *p;

	snapshot_make(&t, "child", "s1");
	p = live_of(&t, "child@s1");
	cr_assert_eq(cow_inode_get(p, cow_live_root(p), &r), 0);
	cr_assert_eq(cow_name_create(r, "new", &how, &i), -EROFS);
	cr_assert_eq(cow_name_unlink(r, "a"), -EROFS);
	cr_assert_eq(cow_name_rename(r, "a", r, "b", 0), -EROFS);
	i = path_get(p, "a", NULL);
	cr_assert_eq(cow_file_write(i, "x", 0, 1, 0), -EROFS);
	cow_inode_put(i);
	cow_inode_put(r);
	cow_live_put(p);
}

/* Many names in one directory, some from below, some from here, each exactly once. */
Test(names, large_directory_over_an_inherited_one)
{
	char name[32];

	for (int k = 0; k < 2000; k++) {
		snprintf(name, sizeof(name), "d/n%d", k);
		put_text(&t, "child", name, "");
	}
	branch_make(&t, "grandchild", "child");
	struct cow_live *g = live_of(&t, "grandchild");
	struct cow_inode *d = path_get(g, "d", NULL);

	for (int k = 0; k < 2000; k += 2) {
		snprintf(name, sizeof(name), "n%d", k);
		cr_assert_eq(cow_name_unlink(d, name), 0);
	}
	cr_assert_eq(entries(d), 1001);
	cow_inode_put(d);
	d = path_get(l, "d", NULL);
	cr_assert_eq(entries(d), 2001);
	cow_inode_put(d);
	cow_live_put(g);
}

/* Who found a name before it went cannot open what is no more: it would write into freed space. */
Test(names, what_was_unlinked_and_not_open_cannot_be_opened)
{
	struct cow_inode *i = path_make(l, "f");

	cr_assert_eq(cow_name_unlink(root, "f"), 0);
	cr_assert_eq(cow_inode_open(i, true), -ESTALE);
	cow_inode_put(i);
	i = path_make(l, "g");
	cr_assert_eq(cow_inode_open(i, true), 0);
	cr_assert_eq(cow_name_unlink(root, "g"), 0);
	cr_assert_eq(cow_inode_open(i, false), 0); /* somebody holds it: another may have it too */
	cow_inode_close(i, false);
	cow_inode_close(i, true);
	cr_assert_eq(cow_inode_open(i, false), -ESTALE);
	cow_inode_put(i);
	expect_clean(&t);
}
