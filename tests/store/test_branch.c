// SPDX-License-Identifier: Apache-2.0
/* branch: create, snapshot, reset, restore, promote, rename, delete; what each shows and what each
 * refuses. */
#include "store/branch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tmpstore.h"

static struct tmpstore t;

static void set_up(void)
{
	tmpstore_make(&t, true);
	put_text(&t, "main", "f", "one");
}

static void tear_down(void)
{
	tmpstore_release(&t);
}

TestSuite(branch, .init = set_up, .fini = tear_down, .timeout = 60);

static cow_errno create(const char *name, const char *parent)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_branch_create how = {.name = name, .parent = parent};
	cow_errno r = cow_branch_create(t.s, &how, &e);

	cr_assert(r == 0 || strlen(e.text) > 0, "error %d without words", r);
	return r;
}

static void get(const char *name, struct cow_branch_info *b)
{
	cr_assert_eq(cow_branch_get(t.s, name, b, NULL), 0, "%s", name);
}

static cow_errno reset(const char *name, const char *source)
{
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r =
	    cow_branch_reset(t.s, &(struct cow_branch_reset){.name = name, .source = source}, &e);

	cr_assert(r == 0 || strlen(e.text) > 0, "error %d without words", r);
	return r;
}

static cow_errno become(void *arg, const char *was, char **ret, struct cow_error *e)
{
	*ret = strdup(arg);
	return 0;
}

/* A pool hands a branch over while its server runs in it. */
Test(branch, renamed_while_running_keeps_its_incarnation_and_its_files_open)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_branch_info before = {0}, after = {0};
	struct cow_live *l;
	struct cow_inode *i;

	branch_make(&t, "pool/1", "main");
	l = live_of(&t, "pool/1");
	i = path_get(l, "f", NULL);
	cr_assert_eq(cow_inode_open(i, true), 0);
	get("pool/1", &before);
	cr_assert_eq(cow_branch_rename(t.s, "pool/1", "mine", &e), -EBUSY);
	cr_assert_eq(cow_branch_rename_running(t.s, "pool/1", "main", NULL, NULL, &e), -EEXIST);
	cr_assert_eq(
	    cow_branch_rename_running(t.s, "pool/1", "mine", become, (void *)"{\"a\":1}", &e), 0,
	    "%s", e.text);
	get("mine", &after);
	cr_assert_eq(after.incarnation, before.incarnation);
	cr_assert_eq(after.id, before.id);
	cr_assert_str_eq(after.settings, "{\"a\":1}");
	cr_assert_not(cow_live_stale(l));
	cr_assert_eq(cow_file_write(i, "TWO", 0, 3, 0), 0);
	cow_inode_close(i, true);
	cow_inode_put(i);
	cow_live_put(l);
	cow_branch_info_release(&before);
	cow_branch_info_release(&after);
	tmpstore_reopen(&t);
	expect_text(&t, "mine", "f", "TWO");
	expect_clean(&t);
}

Test(branch, knows_what_became_of_its_parent)
{
	struct cow_error e = COW_ERROR_INIT;
	enum cow_branch_moved moved;

	branch_make(&t, "a", "main");
	branch_make(&t, "b", "a");
	cr_assert_eq(cow_branch_moved(t.s, "b", &moved, &e), 0);
	cr_assert_eq(moved, COW_MOVED_NOT);
	put_text(&t, "a", "f", "two");
	cr_assert_eq(cow_branch_moved(t.s, "b", &moved, &e), 0);
	cr_assert_eq(moved, COW_MOVED_WRITTEN);
	branch_make(&t, "c", "a");
	cr_assert_eq(reset("a", NULL), 0);
	cr_assert_eq(cow_branch_moved(t.s, "c", &moved, &e), 0);
	cr_assert_eq(moved, COW_MOVED_REPLACED);
	branch_drop(&t, "a");
	cr_assert_eq(cow_branch_moved(t.s, "c", &moved, &e), 0);
	cr_assert_eq(moved, COW_MOVED_REPLACED);
}

Test(branch, notes_are_kept)
{
	char *text;

	cr_assert_eq(cow_store_note_get(t.s, "pools", &text), 0);
	cr_assert_null(text);
	cr_assert_eq(cow_store_note_put(t.s, "pools", "{}"), 0);
	tmpstore_reopen(&t);
	cr_assert_eq(cow_store_note_get(t.s, "pools", &text), 0);
	cr_assert_str_eq(text, "{}");
	free(text);
}

Test(branch, sees_the_parent_as_it_was)
{
	branch_make(&t, "child", "main");
	put_text(&t, "main", "f", "two");
	put_text(&t, "main", "new", "later");
	expect_text(&t, "child", "f", "one");
	expect_missing(&t, "child", "new");
	put_text(&t, "child", "f", "own");
	expect_text(&t, "main", "f", "two");
}

/* What was written and not synced belongs to the point too. */
Test(branch, holds_what_was_not_synced)
{
	for (int k = 0; k < 20; k++) {
		char name[16];

		snprintf(name, sizeof(name), "b%d", k);
		put_fill(&t, "main", "big", (uint64_t)k * 5000, 5000, 'a' + k);
		branch_make(&t, name, "main");
	}
	for (int k = 0; k < 20; k++) {
		char name[16];

		snprintf(name, sizeof(name), "b%d", k);
		expect_size(&t, name, "big", (uint64_t)(k + 1) * 5000);
		for (int j = 0; j <= k; j++)
			expect_fill(&t, name, "big", (uint64_t)j * 5000, 5000, 'a' + j);
	}
}

Test(branch, names_that_are_refused)
{
	static const char *bad[] = {"",     "/",   "a/",  "/a",   "a//b",  ".",       "..",
				    "a/..", "./a", "a@b", "^a",   "a/^b",  "-a",      "a/-b",
				    " a",   "a ",  "a\n", "\x01", "a\x7f", "\xff\xfe"};
	char longest[300];

	for (size_t k = 0; k < sizeof(bad) / sizeof(*bad); k++)
		cr_assert_eq(create(bad[k], "main"), -EINVAL, "'%s' was taken", bad[k]);
	memset(longest, 'n', sizeof(longest));
	longest[256] = '\0';
	cr_assert_eq(create(longest, "main"), -EINVAL);
	longest[255] = '\0';
	cr_assert_eq(create(longest, "main"), 0);
	cr_assert_eq(create("feature/\xc3\xa4 b.c_d", "main"), 0);
}

Test(branch, a_name_cannot_be_a_directory_too)
{
	cr_assert_eq(create("feature", "main"), 0);
	cr_assert_eq(create("feature", "main"), -EEXIST);
	cr_assert_eq(create("feature/x", "main"), -EEXIST);
	cr_assert_eq(create("a/b/c", "main"), 0);
	cr_assert_eq(create("a/b", "main"), -EEXIST);
	cr_assert_eq(create("a", "main"), -EEXIST);
	cr_assert_eq(create("a/b/d", "main"), 0);
	cr_assert_eq(create("featurette", "main"), 0);
	cr_assert_eq(cow_branch_rename(t.s, "featurette", "a/b/c/d", NULL), -EEXIST);
	cr_assert_eq(cow_branch_rename(t.s, "a/b/c", "a/b/e", NULL), 0);
}

Test(branch, unknown_parents_are_named)
{
	cr_assert_eq(create("x", "nobody"), -ENOENT);
	cr_assert_eq(create("x", "main@nothing"), -ENOENT);
	cr_assert_eq(create("x", "main@2001-01-01T00:00:00Z"), -ENOENT);
	cr_assert_eq(cow_branch_delete(t.s, "nobody", NULL), -ENOENT);
	cr_assert_eq(cow_snapshot_delete(t.s, "main", "nothing", NULL), -ENOENT);
	cr_assert_eq(cow_snapshot_create(t.s, "nobody", "s", NULL, NULL, NULL), -ENOENT);
}

static int keep_time(const struct cow_snapshot_info *p, void *arg)
{
	*(int64_t *)arg = p->created_ns;
	return 0;
}

/* People copy a time from where it was printed, in microseconds. */
Test(branch, a_printed_time_names_its_snapshot)
{
	int64_t ns = 0;
	struct tm tm;
	time_t s;
	char day[32], at[80];

	snapshot_make(&t, "main", "s1");
	cr_assert_eq(cow_snapshot_each(t.s, "main", keep_time, &ns), 0);
	s = (time_t)(ns / 1000000000);
	gmtime_r(&s, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(at, sizeof(at), "main@%s.%06dZ", day, (int)(ns % 1000000000 / 1000));
	cr_assert_eq(create("now", at), 0, "%s", at);
	s = s - 1;
	gmtime_r(&s, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(at, sizeof(at), "main@%s.%06dZ", day, (int)(ns % 1000000000 / 1000));
	cr_assert_eq(create("before", at), -ENOENT, "%s", at);
	cr_assert_eq(create("x", "main@"), -EINVAL);
	cr_assert_eq(create("x", "@s1"), -EINVAL);
}

Test(branch, created_from_a_snapshot)
{
	snapshot_make(&t, "main", "s1");
	put_text(&t, "main", "f", "two");
	snapshot_make(&t, "main", "s2");
	put_text(&t, "main", "f", "six");
	cr_assert_eq(create("one", "main@s1"), 0);
	cr_assert_eq(create("two", "main@s2"), 0);
	expect_text(&t, "one", "f", "one");
	expect_text(&t, "two", "f", "two");
	expect_text(&t, "main@s1", "f", "one");
	expect_text(&t, "main", "f", "six");
	cr_assert_eq(cow_snapshot_create(t.s, "main", "s1", NULL, NULL, NULL), -EEXIST);
}

/* NAME@TIME is the newest snapshot not after it. */
Test(branch, created_from_a_time)
{
	struct cow_snapshot_info a, b;
	char ref[64];
	time_t sec;
	struct tm tm;

	cr_assert_eq(cow_snapshot_create(t.s, "main", "early", NULL, &a, NULL), 0);
	put_text(&t, "main", "f", "two");
	cr_assert_eq(cow_snapshot_create(t.s, "main", "late", NULL, &b, NULL), 0);
	cr_assert_leq(a.created_ns, b.created_ns);
	sec = b.created_ns / 1000000000 + 2;
	gmtime_r(&sec, &tm);
	strftime(ref, sizeof(ref), "main@%Y-%m-%dT%H:%M:%SZ", &tm);
	cr_assert_eq(create("then", ref), 0, "%s", ref);
	expect_text(&t, "then", "f", "two");
}

/* Fifty branches below each other: each sees exactly its own history. */
Test(branch, depth_of_fifty)
{
	char name[16] = "main", next[16], file[16], text[32];

	for (int k = 0; k < 50; k++) {
		snprintf(next, sizeof(next), "b%d", k);
		branch_make(&t, next, name);
		snprintf(file, sizeof(file), "f%d", k);
		put_text(&t, next, file, next);
		put_bytes(&t, next, "f", (uint64_t)k, "x", 1);
		strcpy(name, next);
	}
	tmpstore_reopen(&t);
	for (int k = 0; k < 50; k++) {
		snprintf(name, sizeof(name), "b%d", k);
		for (int j = 0; j < 50; j += 7) {
			snprintf(file, sizeof(file), "f%d", j);
			snprintf(text, sizeof(text), "b%d", j);
			if (j <= k)
				expect_text(&t, name, file, text);
			else
				expect_missing(&t, name, file);
		}
		expect_size(&t, name, "f", k < 3 ? 3 : (uint64_t)k + 1);
	}
	expect_text(&t, "main", "f", "one");
}

Test(branch, reset_shows_the_parent_as_it_is_now)
{
	struct cow_branch_info before = {0}, after = {0};
	struct cow_live *old;

	branch_make(&t, "child", "main");
	put_text(&t, "child", "f", "own");
	put_text(&t, "child", "extra", "own");
	put_text(&t, "main", "f", "two");
	get("child", &before);
	old = live_of(&t, "child");
	cr_assert_eq(reset("child", NULL), 0);
	get("child", &after);
	cr_assert_eq(before.id, after.id);
	cr_assert_neq(before.incarnation, after.incarnation);
	cr_assert_gt(after.reset_ns, 0);
	expect_text(&t, "child", "f", "two");
	expect_missing(&t, "child", "extra");
	cr_assert(cow_live_stale(old));
	cow_live_put(old);
	cow_branch_info_release(&before);
	cow_branch_info_release(&after);
	expect_clean(&t);
}

/* Writes into the old incarnation are dropped and never reach the new one. */
Test(branch, writes_to_the_old_incarnation_are_dropped)
{
	struct cow_live *old;
	struct cow_inode *f;
	char buf[8];
	size_t n;

	branch_make(&t, "child", "main");
	old = live_of(&t, "child");
	f = path_get(old, "f", NULL);
	cr_assert_eq(reset("child", "main"), 0);
	cr_assert_eq(cow_file_write(f, "LATE", 0, 4, 0), 0);
	cr_assert_eq(cow_file_read(f, buf, 0, sizeof(buf), &n), -ESTALE);
	cow_inode_put(f);
	cow_live_put(old);
	expect_text(&t, "child", "f", "one");
	expect_text(&t, "main", "f", "one");
	expect_clean(&t);
}

Test(branch, reset_is_refused_while_files_are_open)
{
	struct cow_live *l;
	struct cow_inode *f;

	branch_make(&t, "child", "main");
	l = live_of(&t, "child");
	f = path_get(l, "f", NULL);
	cr_assert_eq(cow_inode_open(f, false), 0);
	cr_assert_eq(cow_branch_open_files(t.s, "child"), 1);
	cr_assert_eq(cow_branch_open_writers(t.s, "child"), 0);
	cr_assert_eq(reset("child", "main"), -EBUSY);
	cr_assert_eq(cow_branch_delete(t.s, "child", NULL), -EBUSY);
	cr_assert_eq(cow_branch_promote(t.s, "child", NULL, NULL, NULL), -EBUSY);
	cr_assert_eq(cow_branch_rename(t.s, "child", "kid", NULL), -EBUSY);
	cow_inode_close(f, false);
	cow_inode_put(f);
	cow_live_put(l);
	cr_assert_eq(reset("child", "main"), 0);
}

Test(branch, restore_brings_a_snapshot_back_and_keeps_the_rest)
{
	snapshot_make(&t, "main", "s1");
	put_text(&t, "main", "f", "two");
	snapshot_make(&t, "main", "s2");
	put_text(&t, "main", "f", "six");
	cr_assert_eq(cow_branch_reset(t.s,
				      &(struct cow_branch_reset){.name = "main",
								 .source = "main@s1",
								 .preserve_under = "old-main"},
				      NULL),
		     0);
	expect_text(&t, "main", "f", "one");
	expect_text(&t, "old-main", "f", "six");
	tmpstore_reopen(&t);
	expect_text(&t, "main", "f", "one");
	expect_text(&t, "old-main", "f", "six");
	expect_clean(&t);
}

Test(branch, promote_exchanges_contents)
{
	struct cow_branch_info m = {0}, after = {0};

	get("main", &m);
	cr_assert(m.is_default);
	branch_make(&t, "child", "main");
	put_text(&t, "child", "f", "own");
	cr_assert_eq(cow_branch_promote(t.s, "child", NULL, NULL, NULL), 0);
	expect_text(&t, "main", "f", "own");
	expect_text(&t, "child", "f", "one");
	get("main", &after);
	cr_assert(after.is_default);
	cr_assert_neq(m.incarnation, after.incarnation);
	cow_branch_info_release(&m);
	cow_branch_info_release(&after);
	expect_clean(&t);
}

Test(branch, rename_keeps_everything_but_the_name)
{
	struct cow_branch_info a = {0}, b = {0};

	branch_make(&t, "child", "main");
	snapshot_make(&t, "child", "s");
	put_text(&t, "child", "f", "own");
	get("child", &a);
	cr_assert_eq(cow_branch_rename(t.s, "child", "team/kid", NULL), 0);
	get("team/kid", &b);
	cr_assert(a.id == b.id && a.lineage == b.lineage);
	cr_assert_eq(cow_branch_get(t.s, "child", &a, NULL), -ENOENT);
	expect_text(&t, "team/kid", "f", "own");
	expect_text(&t, "team/kid@s", "f", "one");
	cow_branch_info_release(&a);
	cow_branch_info_release(&b);
}

/* Deleting is never refused because something was made from it. */
Test(branch, delete_of_a_parent_leaves_its_children)
{
	branch_make(&t, "a", "main");
	put_text(&t, "a", "g", "of a");
	branch_make(&t, "b", "a");
	put_text(&t, "b", "h", "of b");
	branch_drop(&t, "a");
	branch_drop(&t, "main");
	expect_clean(&t);
	tmpstore_reopen(&t);
	expect_text(&t, "b", "f", "one");
	expect_text(&t, "b", "g", "of a");
	expect_text(&t, "b", "h", "of b");
	branch_drop(&t, "b");
	expect_clean(&t);
	cr_assert_eq(host_bytes(&t), 0, "%llu bytes left", (unsigned long long)host_bytes(&t));
}

static bool is_default(const char *name)
{
	struct cow_branch_info b;
	bool yes;

	get(name, &b);
	yes = b.is_default;
	cow_branch_info_release(&b);
	return yes;
}

/* What is made from something does not slip into the place of a default branch that is gone; the
 * next base does, as the first one did. */
Test(branch, a_child_does_not_become_the_default)
{
	cr_assert(is_default("main"));
	branch_make(&t, "a", "main");
	branch_drop(&t, "main");
	branch_make(&t, "b", "a");
	cr_assert(!is_default("a") && !is_default("b"));
	cr_assert_eq(create("c", NULL), -ENOENT);
	cr_assert_eq(cow_branch_create(t.s,
				       &(struct cow_branch_create){.name = "base",
								   .empty = true,
								   .root_mode = S_IFDIR | 0700},
				       NULL),
		     0);
	put_text(&t, "base", "f", "a base");
	cr_assert(is_default("base"));
	cr_assert_eq(create("c", NULL), 0);
	expect_text(&t, "c", "f", "a base");
	cr_assert_eq(cow_branch_set_default(t.s, "b", NULL), 0);
	cr_assert(is_default("b") && !is_default("base"));
}

static int count_snapshot(const struct cow_snapshot_info *p, void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

Test(branch, snapshots_of_a_deleted_branch_go_with_it)
{
	unsigned n = 0;

	branch_make(&t, "child", "main");
	snapshot_make(&t, "child", "s");
	snapshot_make(&t, "main", "m");
	branch_drop(&t, "child");
	cr_assert_eq(cow_snapshot_each(t.s, NULL, count_snapshot, &n), 0);
	cr_assert_eq(n, 1);
}

/* A thousand branches of one quiet golden image hang on one epoch: nothing new is sealed. */
Test(branch, quiet_parent_is_reused)
{
	struct cow_store_stat st;
	uint64_t bytes;

	branch_make(&t, "b0", "main");
	bytes = host_bytes(&t);
	for (int k = 1; k < 100; k++) {
		char name[16];

		snprintf(name, sizeof(name), "b%d", k);
		branch_make(&t, name, "main");
	}
	cr_assert_eq(host_bytes(&t), bytes);
	cow_store_stat(t.s, &st);
	cr_assert_eq(st.branches, 101);
}

static cow_errno prepare(struct cow_live *fresh, void *arg, struct cow_error *e)
{
	struct cow_inode *i = path_make(fresh, "prepared");
	cow_errno r = cow_file_write(i, "yes", 0, 3, 0);

	cow_inode_put(i);
	return r ? r : *(cow_errno *)arg;
}

/* What `prepare` does is part of the creation, and its failure undoes everything. */
Test(branch, prepare_belongs_to_the_creation)
{
	cow_errno answer = 0;
	struct cow_branch_create how = {
	    .name = "good", .parent = "main", .prepare = prepare, .arg = &answer};

	cr_assert_eq(cow_branch_create(t.s, &how, NULL), 0);
	expect_text(&t, "good", "prepared", "yes");
	expect_missing(&t, "main", "prepared");
	answer = -EPERM;
	how.name = "bad";
	cr_assert_eq(cow_branch_create(t.s, &how, NULL), -EPERM);
	cr_assert_eq(cow_branch_get(t.s, "bad", &(struct cow_branch_info){0}, NULL), -ENOENT);
	expect_clean(&t);
	cr_assert_eq(cow_branch_reset(
			 t.s,
			 &(struct cow_branch_reset){
			     .name = "good", .source = "main", .prepare = prepare, .arg = &answer},
			 NULL),
		     -EPERM);
	expect_text(&t, "good", "prepared", "yes");
	expect_clean(&t);
}

static void make_and_snapshot(struct tmpstore *c, void *arg)
{
	put_text(c, "main", "f", "two");
	snapshot_make(c, "main", "s1");
	branch_make(c, "child", "main");
	put_text(c, "main", "f", "not synced");
}

/* What was answered with success survives a kill -9. */
Test(branch, acknowledged_operations_survive_a_kill)
{
	struct cow_store_stat st;

	tmpstore_close(&t);
	tmpstore_crash(&t, make_and_snapshot, NULL);
	tmpstore_open(&t);
	cow_store_stat(t.s, &st);
	cr_assert(st.recovered);
	expect_text(&t, "main@s1", "f", "two");
	expect_text(&t, "child", "f", "two");
	expect_clean(&t);
}
