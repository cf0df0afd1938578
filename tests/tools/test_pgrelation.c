// SPDX-License-Identifier: Apache-2.0
/* Which paths of a branch are files of relations, and what is said about them. */
#include <criterion/criterion.h>

#include <string.h>

#include "tools/pg/pgrelation.h"

static void is(const char *path, uint64_t block, const char *want)
{
	struct pgrelation r;
	char text[300];

	cr_assert(pgrelation_of(path, block, &r), "%s", path);
	pgrelation_text(&r, "", text, sizeof(text));
	cr_assert_str_eq(text, want);
}

Test(pgrelation, forks_and_segments)
{
	is("base/5/16397", 7, "file node 16397 of database 5, block 7");
	is("base/5/16397.2", 7, "file node 16397 of database 5, block 262151");
	is("base/5/16397_fsm", 0, "file node 16397 of database 5, fork fsm, block 0");
	is("base/5/16397_vm.1", 1, "file node 16397 of database 5, fork vm, block 131073");
	is("base/5/16397_init", UINT64_MAX, "file node 16397 of database 5, fork init");
	is("global/1262", 0, "file node 1262 of all databases, block 0");
	is("pg_tblspc/16400/PG_15_202209061/16384/4294967295", 1,
	   "file node 4294967295 of database 16384, block 1");
}

Test(pgrelation, names)
{
	struct pgrelation r;
	char text[300];

	cr_assert(pgrelation_of("pg_tblspc/16400/PG_15_202209061/16384/16390_vm", 3, &r));
	cr_assert_eq(r.tablespace, 16400);
	cr_assert_eq(r.database, 16384);
	cr_assert_eq(r.filenode, 16390);
	pgrelation_text(&r, "public.orders in shop", text, sizeof(text));
	cr_assert_str_eq(text, "public.orders in shop, fork vm, block 3");
}

Test(pgrelation, what_is_no_relation)
{
	static const char *const paths[] = {
	    "",
	    "base",
	    "base/5",
	    "base/5/",
	    "base/5/PG_VERSION",
	    "base/5/pg_filenode.map",
	    "base/5/t3_16397",
	    "base/5/16397_",
	    "base/5/16397_fsmx",
	    "base/5/16397.",
	    "base/5/16397.x",
	    "base/5/16397_fsm_vm",
	    "base/5/99999999999",
	    "base/5/4294967296",
	    "base/x/16397",
	    "global/pg_control",
	    "pg_wal/000000010000000000000001",
	    "pg_tblspc/16400",
	    "pg_tblspc/16400/other/5/16397",
	    "pg_tblspc/16400/PG_15_202209061",
	    "etc/base/5/16397",
	};
	struct pgrelation r;

	for (size_t k = 0; k < sizeof(paths) / sizeof(*paths); k++)
		cr_expect_not(pgrelation_of(paths[k], 0, &r), "%s", paths[k]);
}
