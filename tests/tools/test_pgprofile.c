// SPDX-License-Identifier: Apache-2.0
/* pgprofile: what is inherited is bounded, what is less stays. */
#include "tools/pg/pgprofile.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Valid until the next call. */
static const char *shared_buffers(const char *profile, const char *conf)
{
	static struct cow_pgconf_list l;
	const char *got;

	cow_pgconf_list_release(&l);
	l = (struct cow_pgconf_list){0};
	cr_assert_eq(pgprofile_apply(pgprofile_find(profile), conf, &l), 0);
	got = cow_pgconf_list_get(&l, "shared_buffers");
	return got ? got : "";
}

Test(pgprofile, bounds_what_a_branch_inherited)
{
	char large[32];

	cr_assert_str_eq(shared_buffers("standard", "shared_buffers = 8GB\n"), "128MB");
	cr_assert_str_eq(shared_buffers("standard", "shared_buffers = '512MB'\n"), "128MB");
	cr_assert_str_eq(shared_buffers("small", "shared_buffers = 8GB\n"), "32MB");
	/* A bare number counts blocks of 8 kB. */
	cr_assert_str_eq(shared_buffers("standard", "shared_buffers = 32768\n"), "128MB");
	snprintf(large, sizeof(large), "%s", shared_buffers("inherit", "shared_buffers = 100TB\n"));
	cr_assert_str_eq(shared_buffers("inherit", "shared_buffers = 200TB\n"), large);
}

Test(pgprofile, leaves_what_is_less)
{
	cr_assert_str_eq(shared_buffers("standard", "shared_buffers = 64MB\n"), "");
	cr_assert_str_eq(shared_buffers("standard", ""), "");
	cr_assert_str_eq(shared_buffers("small", "shared_buffers = 16MB\n"), "");
	cr_assert_str_eq(shared_buffers("inherit", "shared_buffers = 256MB\n"), "");
	/* Without a word postgres takes 128 MB. */
	cr_assert_str_eq(shared_buffers("small", ""), "32MB");
}

Test(pgprofile, a_base_inherits_and_a_branch_is_standard)
{
	cr_assert_str_eq(pgprofile_default(true)->name, "inherit");
	cr_assert_str_eq(pgprofile_default(false)->name, "standard");
	cr_assert_null(pgprofile_find("huge"));
	cr_assert_null(pgprofile_find(""));
}
