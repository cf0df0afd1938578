// SPDX-License-Identifier: Apache-2.0
/* store: making, opening, closing; every wrong directory gets its own clear answer. */
#include "store/store.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/tmpstore.h"

static char dir[256];

static void set_up(void)
{
	tmpdir_make(dir, sizeof(dir));
}

static void tear_down(void)
{
	tmpdir_remove(dir);
}

TestSuite(store, .init = set_up, .fini = tear_down, .timeout = 60);

static void write_file(const char *name, const char *text)
{
	char path[600];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static cow_errno try_open(const char *path, struct cow_error *e)
{
	struct cow_store *s = NULL;
	cow_errno r;

	*e = (struct cow_error)COW_ERROR_INIT;
	r = cow_store_open(path, NULL, &s, e);
	if (!r)
		cow_store_close(s, NULL);
	else
		cr_assert(!s && strlen(e->text) > 0, "error %d without words", r);
	return r;
}

Test(store, is_private_to_its_owner)
{
	struct stat st;
	char path[400];

	snprintf(path, sizeof(path), "%s/new", dir);
	cr_assert_eq(cow_store_create(path, NULL), 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0700);
}

Test(store, takes_an_empty_directory_and_no_other)
{
	struct cow_error e = COW_ERROR_INIT;

	write_file("thing", "not ours");
	cr_assert_eq(cow_store_create(dir, &e), -ENOTEMPTY);
	cr_assert(strlen(e.text) > 0);
	cr_assert_eq(try_open(dir, &e), -EINVAL);
	char path[400];
	snprintf(path, sizeof(path), "%s/thing", dir);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(cow_store_create(dir, &e), 0, "%s", e.text);
	cr_assert_eq(cow_store_create(dir, &e), -EEXIST);
	cr_assert_eq(try_open(dir, &e), 0, "%s", e.text);
	snprintf(path, sizeof(path), "%s/none", dir);
	cr_assert_eq(try_open(path, &e), -ENOENT);
}

Test(store, of_a_newer_version_is_left_alone)
{
	struct cow_error e;

	cr_assert_eq(cow_store_create(dir, NULL), 0);
	write_file("VERSION", "cowfs store 99\n");
	cr_assert_eq(try_open(dir, &e), -EPROTO, "%s", e.text);
	cr_assert(strstr(e.text, "99"), "%s", e.text);
	write_file("VERSION", "something else\n");
	cr_assert_eq(try_open(dir, &e), -EINVAL, "%s", e.text);
}

/* One process has it open; the answer names that process. */
Test(store, is_open_in_one_process)
{
	struct cow_store *s = NULL;
	struct cow_error e;
	char pid[32];
	int status;
	pid_t child;

	cr_assert_eq(cow_store_create(dir, NULL), 0);
	cr_assert_eq(cow_store_open(dir, NULL, &s, NULL), 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	child = fork();
	if (child == 0) {
		struct cow_store *second = NULL;
		cow_errno r;

		e = (struct cow_error)COW_ERROR_INIT;
		r = cow_store_open(dir, NULL, &second, &e);
		_exit(r == -EBUSY && strstr(e.text, pid) ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0, "not refused, or the text does not name %s", pid);
	cr_assert_eq(cow_store_close(s, NULL), 0);
	cr_assert_eq(try_open(dir, &e), 0);
}

Test(store, with_a_damaged_map_is_not_opened)
{
	struct cow_error e;

	cr_assert_eq(cow_store_create(dir, NULL), 0);
	cr_assert_eq(try_open(dir, &e), 0, "%s", e.text);
	write_file("map/CURRENT", "garbage\n");
	cr_assert_eq(try_open(dir, &e), -EIO, "%s", e.text);
}

/* A clean close needs no recovery; a kill does, and says so. */
Test(store, knows_an_unclean_stop)
{
	struct cow_store_stat st;
	struct tmpstore t;

	tmpstore_make(&t, true);
	cow_store_stat(t.s, &st);
	cr_assert(!st.recovered);
	tmpstore_reopen(&t);
	cow_store_stat(t.s, &st);
	cr_assert(!st.recovered);
	cr_assert_eq(st.branches, 1);
	cr_assert_gt(st.host_total, st.host_free);
	tmpstore_release(&t);
}
