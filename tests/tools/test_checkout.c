// SPDX-License-Identifier: Apache-2.0
/* The branch of a working directory, and the .env file beside it. */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/cli/checkout.h"

#define B "# --- cowfs checkout: begin ---\n"
#define E "# --- cowfs checkout: end ---\n"

static void becomes(const char *old, const char *block, const char *want)
{
	CLEANUP_FREE char *text = checkout_env_text(old, block);

	cr_assert_str_eq(text, want);
}

Test(checkout, an_env_file_keeps_every_other_line)
{
	becomes("", "A=1\n", B "A=1\n" E);
	becomes("# mine\nSECRET='x y'\n\nLAST=1", "A=1\n",
		"# mine\nSECRET='x y'\n\nLAST=1\n" B "A=1\n" E);
}

/* A URL with a password that the user wrote is not lost. */
Test(checkout, what_sets_the_same_names_becomes_a_comment)
{
	becomes("A=old\n  export A=older\nAB=2\n#A=3\nA\n", "A=1\n",
		"# before cowfs checkout: A=old\n# before cowfs checkout:   export A=older\nAB=2\n"
		"#A=3\nA\n" B "A=1\n" E);
}

Test(checkout, our_block_is_replaced_in_its_place)
{
	becomes("X=1\n" B "A=1\n" E "Y=2\n", "A=2\n", "X=1\n" B "A=2\n" E "Y=2\n");
	becomes(B "A=1\n" E "Y=2\n" B "A=1\n" E, "A=2\n", B "A=2\n" E "Y=2\n");
	/* Without its end it may be anything: nothing of it is dropped. */
	becomes(B "KEEP=1\n", "A=2\n", B "KEEP=1\n" B "A=2\n" E);
}

static char where[64];

static void enter(void)
{
	snprintf(where, sizeof(where), "/tmp/cowfs-checkout.XXXXXX");
	cr_assert(mkdtemp(where));
	cr_assert_eq(chdir(where), 0);
	cr_assert_eq(mkdir("a", 0755), 0);
	cr_assert_eq(mkdir("a/b", 0755), 0);
}

static void leave(void)
{
	char line[128];

	snprintf(line, sizeof(line), "rm -rf %s", where);
	cr_assert_eq(chdir("/"), 0);
	cr_assert_eq(system(line), 0);
}

static struct checkout sample(const char *dir)
{
	struct checkout c = {.store = "/srv/a store", .branch = "feature/x", .previous = "main"};

	snprintf(c.path, sizeof(c.path), "%s%s/.cowfs", where, dir);
	return c;
}

Test(checkout, is_found_from_below_and_the_nearest_one_counts, .init = enter, .fini = leave)
{
	struct checkout c = sample(""), found, inner = sample("/a/b");

	cr_assert_eq(checkout_find(&found, NULL), -ENOENT);
	cr_assert_str_eq(found.path, c.path);
	cr_assert_eq(checkout_write(&c, NULL), 0);
	cr_assert_eq(chdir("a/b"), 0);
	cr_assert_eq(checkout_find(&found, NULL), 0);
	cr_assert_str_eq(found.path, c.path);
	cr_assert_str_eq(found.store, "/srv/a store");
	cr_assert_str_eq(found.branch, "feature/x");
	cr_assert_str_eq(found.previous, "main");
	inner.branch[0] = 'F';
	cr_assert_eq(checkout_write(&inner, NULL), 0);
	cr_assert_eq(checkout_find(&found, NULL), 0);
	cr_assert_str_eq(found.branch, "Feature/x");
}

/* Whoever may write it decides what our commands connect to. */
Test(checkout, does_not_count_when_others_may_write_it, .init = enter, .fini = leave)
{
	struct cow_error e = COW_ERROR_INIT;
	struct checkout c = sample(""), found;

	cr_assert_eq(checkout_write(&c, NULL), 0);
	cr_assert_eq(chmod(".cowfs", 0666), 0);
	cr_assert_eq(checkout_find(&found, &e), -EPERM);
	cr_assert(strstr(e.text, "written by others"), "%s", e.text);
	cr_assert_eq(chmod(".cowfs", 0644), 0);
	if (geteuid() != 0)
		return;
	cr_assert_eq(chown(".cowfs", 12345, 0), 0);
	cr_assert_eq(checkout_find(&found, &e), -EPERM);
	setenv("SUDO_UID", "12345", 1);
	cr_assert_eq(checkout_find(&found, &e), 0);
}

Test(checkout, damage_is_said, .init = enter, .fini = leave)
{
	struct checkout found;
	FILE *f = fopen(".cowfs", "w");

	fputs("branch = x\n", f);
	fclose(f);
	cr_assert_eq(checkout_find(&found, NULL), -EINVAL);
}
