// SPDX-License-Identifier: Apache-2.0
/* deleted: a branch that was deleted comes back whole while its time lasts, takes no name
 * meanwhile, and gives its space back when its time is over, when it is told to, or when room is
 * short. */
#include "store/branch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/core.h"
#include "store/os.h"
#include "store/upkeep.h"
#include "tests/lib/tmpstore.h"

#define HOUR_NS 3600000000000ll

static struct tmpstore t;

static void set_up(void)
{
	tmpstore_make(&t, true);
	put_text(&t, "main", "f", "one");
	branch_make(&t, "b", "main");
	put_fill(&t, "b", "own", 0, 50 * COW_BLOCK, 'b');
	snapshot_make(&t, "b", "s");
	put_text(&t, "b", "f", "two");
}

static void tear_down(void)
{
	tmpstore_release(&t);
}

TestSuite(deleted, .init = set_up, .fini = tear_down, .timeout = 60);

static bool delete_until(const char *name, int64_t until_ns)
{
	struct cow_error e = COW_ERROR_INIT;
	bool kept;

	cr_assert_eq(cow_branch_delete_until(t.s, name, until_ns, NULL, NULL, &kept, &e), 0, "%s",
		     e.text);
	return kept;
}

static void keep(const char *name)
{
	cr_assert(delete_until(name, cow_os_now_ns() + HOUR_NS));
}

static int count_one(const struct cow_deleted_info *d, void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

static unsigned deleted(void)
{
	unsigned n = 0;

	cr_assert_eq(cow_deleted_each(t.s, count_one, &n), 0);
	return n;
}

static int take_id(const struct cow_deleted_info *d, void *arg)
{
	*(uint64_t *)arg = d->b.id; /* the last is the newest */
	return 0;
}

static uint64_t newest(void)
{
	uint64_t id = 0;

	cow_deleted_each(t.s, take_id, &id);
	return id;
}

static cow_errno undelete(uint64_t id, const char *as)
{
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r = cow_branch_undelete(t.s, id, as, NULL, &e);

	cr_assert(r == 0 || e.text[0], "error %d without words", r);
	return r;
}

static void expect_whole(const char *name)
{
	char snap[64];

	expect_text(&t, name, "f", "two");
	expect_fill(&t, name, "own", 0, 50 * COW_BLOCK, 'b');
	snprintf(snap, sizeof(snap), "%s@s", name);
	branch_make(&t, "of-snapshot", snap);
	expect_text(&t, "of-snapshot", "f", "one");
	branch_drop(&t, "of-snapshot");
}

Test(deleted, comes_back_whole_with_its_snapshots_and_what_was_never_synced)
{
	keep("b");
	expect_clean(&t);
	cr_assert_eq(undelete(newest(), NULL), 0);
	expect_whole("b");
	cr_assert_eq(deleted(), 0);
	expect_clean(&t);
}

Test(deleted, survives_reopening_and_gc)
{
	keep("b");
	tmpstore_reopen(&t);
	expect_clean(&t);
	cr_assert_eq(undelete(newest(), NULL), 0);
	expect_whole("b");
}

Test(deleted, its_name_is_free_at_once)
{
	keep("b");
	branch_make(&t, "b", "main");
	cr_assert_eq(undelete(newest(), NULL), -EEXIST);
	cr_assert_eq(undelete(newest(), "b/below"), -EEXIST);
	cr_assert_eq(undelete(newest(), "old"), 0);
	expect_whole("old");
	expect_text(&t, "b", "f", "one");
}

Test(deleted, its_snapshots_are_not_shown_or_found)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_branch_create how = {.name = "x", .parent = "b@s"};
	struct cow_store_stat st;

	keep("b");
	cr_assert_eq(cow_branch_create(t.s, &how, &e), -ENOENT);
	cow_store_stat(t.s, &st);
	cr_assert(st.branches == 1 && st.deleted == 1);
}

Test(deleted, the_default_branch_becomes_it_again)
{
	struct cow_branch_info b = {0};

	keep("main");
	cr_assert_eq(undelete(newest(), NULL), 0);
	cr_assert_eq(cow_branch_get(t.s, "main", &b, NULL), 0);
	cr_assert(b.is_default);
	cow_branch_info_release(&b);
}

Test(deleted, children_go_on_and_find_their_parent_again)
{
	struct cow_branch_info b = {0};

	branch_make(&t, "child", "b");
	keep("b");
	expect_text(&t, "child", "f", "two");
	cr_assert_eq(cow_branch_get(t.s, "child", &b, NULL), 0);
	cr_assert_str_eq(b.parent, "");
	cow_branch_info_release(&b);
	cr_assert_eq(undelete(newest(), NULL), 0);
	cr_assert_eq(cow_branch_get(t.s, "child", &b, NULL), 0);
	cr_assert_str_eq(b.parent, "b");
	cow_branch_info_release(&b);
}

Test(deleted, an_open_branch_is_refused_and_stays)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_live *l = live_of(&t, "b");
	struct cow_inode *i = path_get(l, "f", NULL);

	cr_assert_eq(cow_inode_open(i, false), 0);
	cr_assert_eq(
	    cow_branch_delete_until(t.s, "b", cow_os_now_ns() + HOUR_NS, NULL, NULL, NULL, &e),
	    -EBUSY);
	cow_inode_close(i, false);
	cow_inode_put(i);
	cow_live_put(l);
	expect_whole("b");
}

Test(deleted, purging_gives_all_of_its_space_back)
{
	struct cow_error e = COW_ERROR_INIT;
	uint64_t id;

	sync_branch(&t, "b");
	keep("b");
	expect_clean(&t);
	cr_assert_gt(host_bytes(&t), 40 * COW_BLOCK);
	id = newest();
	cr_assert_eq(cow_deleted_purge(t.s, id, &e), 0, "%s", e.text);
	cr_assert_eq(cow_deleted_purge(t.s, id, &e), -ENOENT);
	cr_assert_eq(undelete(id, NULL), -ENOENT);
	expect_clean(&t);
	cr_assert_lt(host_bytes(&t), 10 * COW_BLOCK);
}

/* The background thread of the store does it: no command, no serve. */
Test(deleted, goes_by_itself_when_its_time_is_over_and_not_before)
{
	int64_t until = cow_os_now_ns() + 2000000000;
	uint64_t id;

	cr_assert(delete_until("b", until));
	id = newest();
	while (cow_os_now_ns() < until - 200000000)
		cr_assert_eq(newest(), id, "gone before its time");
	while (newest() && cow_os_now_ns() < until + 5000000000)
		usleep(10000);
	cr_assert_eq(newest(), 0);
	cr_assert_leq(cow_os_now_ns(), until + 3000000000);
}

Test(deleted, keeps_nothing_where_room_is_short_and_gives_up_what_it_kept)
{
	keep("b");
	branch_make(&t, "c", "main");
	t.s->room.mark = INT64_MAX / 2;
	cr_assert_not(delete_until("c", cow_os_now_ns() + HOUR_NS));
	for (int k = 0; k < 500 && deleted(); k++)
		usleep(10000);
	cr_assert_eq(deleted(), 0);
	t.s->room.mark = 0;
	expect_clean(&t);
}

/* Killed right after the answer: what was answered is there. */
static void delete_and_die(struct tmpstore *child, void *arg)
{
	cow_branch_delete_until(child->s, "b", cow_os_now_ns() + HOUR_NS, NULL, NULL, NULL, NULL);
}

Test(deleted, is_durable_when_it_is_answered)
{
	tmpstore_close(&t);
	tmpstore_crash(&t, delete_and_die, NULL);
	tmpstore_open(&t);
	cr_assert_eq(cow_branch_get(t.s, "b", &(struct cow_branch_info){0}, NULL), -ENOENT);
	cr_assert_eq(undelete(newest(), NULL), 0);
	expect_whole("b");
	expect_clean(&t);
}
