// SPDX-License-Identifier: Apache-2.0
/* settings: what is kept with the name of a branch, and who changes it at the same time. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/branch.h"
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

TestSuite(settings, .init = set_up, .fini = tear_down, .timeout = 60);

static void get(const char *name, struct cow_branch_info *b)
{
	cr_assert_eq(cow_branch_get(t.s, name, b, NULL), 0, "%s", name);
}

static cow_errno become(void *arg, const char *was, char **ret, struct cow_error *e)
{
	*ret = strdup(arg);
	return 0;
}

Test(settings, are_kept)
{
	struct cow_branch_info b = {0};

	cr_assert_eq(cow_branch_edit(t.s, "main", become, (void *)"{\"port\":5433}", NULL), 0);
	tmpstore_reopen(&t);
	get("main", &b);
	cr_assert_str_eq(b.settings, "{\"port\":5433}");
	cow_branch_info_release(&b);
}

static cow_errno refuse(void *arg, const char *was, char **ret, struct cow_error *e)
{
	return cow_fail(e, -EINVAL, "not these: %s", was);
}

Test(settings, stay_as_they_were_when_a_change_is_refused)
{
	struct cow_branch_info b = {0};
	struct cow_error e = COW_ERROR_INIT;

	cr_assert_eq(cow_branch_edit(t.s, "main", become, (void *)"{\"a\":1}", NULL), 0);
	cr_assert_eq(cow_branch_edit(t.s, "main", refuse, NULL, &e), -EINVAL);
	cr_assert_str_eq(e.text, "not these: {\"a\":1}");
	branch_make(&t, "pool/1", "main");
	cr_assert_eq(cow_branch_rename_running(t.s, "pool/1", "mine", refuse, NULL, &e), -EINVAL);
	get("main", &b);
	cr_assert_str_eq(b.settings, "{\"a\":1}");
	cow_branch_info_release(&b);
	get("pool/1", &b);
	cow_branch_info_release(&b);
}

static cow_errno say_other(void *arg, const char *other, const char *was, char **ret,
			   struct cow_error *e)
{
	unsigned *calls = arg;

	if (++*calls == 4) /* the second of the second time */
		return cow_fail(e, -EINVAL, "not again");
	return asprintf(ret, "%s, of %s", was, other) < 0 ? -ENOMEM : 0;
}

static void settings_are(const char *name, const char *want)
{
	struct cow_branch_info b = {0};

	get(name, &b);
	cr_assert_str_eq(b.settings, want);
	cow_branch_info_release(&b);
}

static uint64_t lineage_of(const char *name)
{
	struct cow_branch_info b = {0};
	uint64_t lineage;

	get(name, &b);
	lineage = b.lineage;
	cow_branch_info_release(&b);
	return lineage;
}

Test(settings, change_with_the_contents_or_neither_does)
{
	const struct cow_branch_reset how = {
	    .name = "child", .edit = become, .edit_arg = (void *)"reset"};
	const struct cow_branch_reset refused = {.name = "child", .edit = refuse};
	uint64_t lineage, main_lineage = lineage_of("main");
	unsigned calls = 0;

	branch_make(&t, "child", "main");
	lineage = lineage_of("child");
	cr_assert_eq(cow_branch_reset(t.s, &refused, NULL), -EINVAL);
	cr_assert_eq(lineage_of("child"), lineage);
	cr_assert_eq(cow_branch_reset(t.s, &how, NULL), 0);
	cr_assert_neq(lineage_of("child"), lineage);
	settings_are("child", "reset");

	lineage = lineage_of("child");
	cr_assert_eq(cow_branch_promote(t.s, "child", say_other, &calls, NULL), 0);
	cr_assert_eq(lineage_of("main"), lineage);
	cr_assert_eq(lineage_of("child"), main_lineage);
	settings_are("child", "reset, of main");
	settings_are("main", "{}, of child");
	cr_assert_eq(cow_branch_promote(t.s, "child", say_other, &calls, NULL), -EINVAL);
	cr_assert_eq(lineage_of("main"), lineage);
	settings_are("child", "reset, of main");
	settings_are("main", "{}, of child");
}

/* One more of the letter of its thread. */
static cow_errno add_letter(void *arg, const char *was, char **ret, struct cow_error *e)
{
	sched_yield();
	return asprintf(ret, "%s%c", was, *(const char *)arg) < 0 ? -ENOMEM : 0;
}

static void *change_settings(void *arg)
{
	for (unsigned k = 0; k < 50; k++)
		cr_assert_eq(cow_branch_edit(t.s, "main", add_letter, arg, NULL), 0);
	return NULL;
}

Test(settings, changed_by_many_at_once_lose_nothing)
{
	char letters[] = "abcd";
	unsigned seen[4] = {0};
	struct cow_branch_info b = {0};
	pthread_t threads[4];

	for (unsigned k = 0; k < 4; k++)
		pthread_create(&threads[k], NULL, change_settings, &letters[k]);
	for (unsigned k = 0; k < 4; k++)
		pthread_join(threads[k], NULL);
	cr_assert_eq(cow_branch_get(t.s, "main", &b, NULL), 0);
	for (const char *c = b.settings; *c; c++)
		if (strchr(letters, *c))
			seen[*c - 'a']++;
	cow_branch_info_release(&b);
	for (unsigned k = 0; k < 4; k++)
		cr_assert_eq(seen[k], 50, "%u of 50 changes by thread %u are there", seen[k], k);
}

/* --- a change of contents and of settings is one step --- */

static cow_errno refuse_protected(void *arg, const char *was, char **ret, struct cow_error *e)
{
	if (strstr(was, "protected"))
		return cow_fail(e, -EBUSY, "it is protected");
	*ret = strdup(arg ? arg : was);
	return 0;
}

Test(settings, change_in_the_step_of_a_reset_or_neither_happens)
{
	struct cow_branch_reset how = {
	    .name = "b", .edit = refuse_protected, .edit_arg = (void *)"{\"by\":\"reset\"}"};
	struct cow_branch_info b = {0};

	put_text(&t, "main", "f", "one");
	branch_make(&t, "b", "main");
	put_text(&t, "b", "f", "two");
	cr_assert_eq(cow_branch_edit(t.s, "b", become, (void *)"{\"protected\":1}", NULL), 0);
	cr_assert_eq(cow_branch_reset(t.s, &how, NULL), -EBUSY);
	expect_text(&t, "b", "f", "two");
	cr_assert_eq(cow_branch_edit(t.s, "b", become, (void *)"{}", NULL), 0);
	cr_assert_eq(cow_branch_reset(t.s, &how, NULL), 0);
	expect_text(&t, "b", "f", "one");
	get("b", &b);
	cr_assert_str_eq(b.settings, "{\"by\":\"reset\"}");
	cow_branch_info_release(&b);
}

static void *protect(void *arg)
{
	*(cow_errno *)arg = cow_branch_edit(t.s, "b", become, (void *)"{\"protected\":1}", NULL);
	return NULL;
}

Test(settings, protecting_beside_a_delete_is_too_late_or_heard)
{
	unsigned kept = 0, gone = 0;

	for (int k = 0; k < 200; k++) {
		cow_errno protecting, deleting;
		pthread_t other;

		branch_make(&t, "b", "main");
		cr_assert_eq(pthread_create(&other, NULL, protect, &protecting), 0);
		deleting = cow_branch_delete_until(t.s, "b", 0, refuse_protected, NULL, NULL, NULL);
		pthread_join(other, NULL);
		cr_assert((protecting == 0 && deleting == -EBUSY) ||
			      (protecting == -ENOENT && deleting == 0),
			  "round %d: protect %d, delete %d", k, protecting, deleting);
		kept += deleting != 0;
		gone += deleting == 0;
		if (deleting)
			cr_assert_eq(cow_branch_delete(t.s, "b", NULL), 0);
	}
	cr_log_info("%u were kept, %u were gone", kept, gone);
}
