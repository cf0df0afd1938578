// SPDX-License-Identifier: Apache-2.0
/* branch_names: what is kept as the number of a branch is shown under its present name. */
#include "store/branch.h"

#include <criterion/criterion.h>

#include "store/os.h"
#include "tests/lib/tmpstore.h"

static struct tmpstore t;

static void set_up(void)
{
	tmpstore_make(&t, true);
}

static void tear_down(void)
{
	tmpstore_release(&t);
}

TestSuite(branch_names, .init = set_up, .fini = tear_down, .timeout = 60);

static void expect_parent(const char *name, const char *parent)
{
	struct cow_branch_info b;

	cr_assert_eq(cow_branch_get(t.s, name, &b, NULL), 0, "%s", name);
	cr_assert_str_eq(b.parent, parent, "parent of %s", name);
	cow_branch_info_release(&b);
}

static int take_id(const struct cow_deleted_info *d, void *arg)
{
	*(uint64_t *)arg = d->b.id;
	return 1;
}

/* The parent is kept as a number: whatever happens to its name is seen at once, and after opening.
 */
Test(branch_names, a_parent_is_called_by_its_present_name)
{
	uint64_t id = 0, n = cow_branch_count(t.s);

	branch_make(&t, "p", "main");
	branch_make(&t, "c", "p");
	expect_parent("c", "p");
	cr_assert_eq(cow_branch_rename(t.s, "p", "q", NULL), 0);
	expect_parent("c", "q");
	branch_make(&t, "p", "main");
	expect_parent("c", "q");
	cr_assert_eq(
	    cow_branch_reset(t.s, &(struct cow_branch_reset){.name = "c", .preserve_under = "kept"},
			     NULL),
	    0);
	expect_parent("kept", "q");
	branch_make(&t, "of-kept", "kept");
	expect_parent("of-kept", "kept");
	cr_assert_eq(cow_branch_count(t.s), n + 5);
	cr_assert_eq(cow_branch_delete_until(t.s, "q", cow_os_now_ns() + 3600000000000, NULL, NULL,
					     NULL, NULL),
		     0);
	expect_parent("c", "");
	cr_assert_eq(cow_branch_count(t.s), n + 4);
	cr_assert_eq(cow_deleted_each(t.s, take_id, &id), 1);
	cr_assert_eq(cow_branch_undelete(t.s, id, "back", NULL, NULL), 0);
	expect_parent("c", "back");
	tmpstore_reopen(&t);
	expect_parent("c", "back");
	expect_parent("of-kept", "kept");
	cr_assert_eq(cow_branch_count(t.s), n + 5);
	cr_assert_eq(cow_branch_set_default(t.s, "back", NULL), 0);
	cr_assert_eq(cow_branch_rename(t.s, "back", "other", NULL), 0);
	cr_assert_eq(cow_branch_create(t.s, &(struct cow_branch_create){.name = "d"}, NULL), 0);
	expect_parent("d", "other");
}
