// SPDX-License-Identifier: Apache-2.0
/* Which migrations a database lacks, as each tool names them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tools/schema/migrations.h"

static const struct migrations_tool *tool(const char *name)
{
	for (const struct migrations_tool *t = migrations_tools; t->name; t++)
		if (strcmp(t->name, name) == 0)
			return t;
	cr_assert_fail("no tool %s", name);
	return NULL;
}

static const struct row {
	const char *tool, *applied, *expected; /* JSON */
	const char *missing;                   /* JSON */
	size_t known;
} rows[] = {
    {"Flyway", "[\"1\",\"1.2\"]",
     "[\"db/V1__a.sql\",\"db/V1_2__b.sql\",\"db/V2__c.sql\",\"db/R__view.sql\",\"README.md\"]",
     "[\"2\"]", 3},
    {"Prisma", "[\"2024_init\"]", "[\"p/2024_init\",\"p/2025_add\",\"p/migration_lock.toml\"]",
     "[\"2025_add\"]", 2},
    {"Rails", "[\"20240101\"]", "[\"db/migrate/20240101_a.rb\",\"db/migrate/20240202_b.rb\"]",
     "[\"20240202\"]", 2},
    {"golang-migrate", "[\"9\"]",
     "[\"0008_a.up.sql\",\"0008_a.down.sql\",\"9_b.up.sql\",\"10_c.up.sql\"]", "[\"10\"]", 3},
    {"golang-migrate", "[]", "[\"1_a.up.sql\"]", "[\"1\"]", 1},
    {"Django", "[\"shop.0001_initial\"]",
     "[\"src/shop/migrations/0001_initial.py\",\"src/shop/migrations/0002_x.py\","
     "\"src/shop/migrations/__init__.py\",\"auth.0001_initial\"]",
     "[\"shop.0002_x\",\"auth.0001_initial\"]", 3},
    {"Alembic", "[\"1ab\"]", "[\"2cd\"]", "[\"2cd\"]", 1},
    {"Liquibase", "[\"create-a\"]", "[\"create-a\",\"create-b\"]", "[\"create-b\"]", 2},
    {"Knex", "[\"2024_a.js\"]", "[\"m/2024_a.js\",\"m/2025_b.js\",\"m/2025_b.js\"]",
     "[\"2025_b.js\"]", 2},
    {"sqlx", "[\"1\"]", "[\"0001_a.sql\",\"2fast.sql\",\"0002_b.sql\"]", "[\"2\"]", 2},
};

Test(migrations, each_tool_names_them_its_own_way)
{
	for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		json_t *applied = json_loads(rows[k].applied, 0, NULL);
		json_t *expected = json_loads(rows[k].expected, 0, NULL);
		json_t *want = json_loads(rows[k].missing, 0, NULL);
		size_t known;
		json_t *got = migrations_missing(tool(rows[k].tool), applied, expected, &known);
		char *text = json_dumps(got, 0);

		cr_expect(json_equal(got, want), "%s (row %zu): missing %s, not %s", rows[k].tool,
			  k, text, rows[k].missing);
		cr_expect_eq(known, rows[k].known, "%s (row %zu): %zu known", rows[k].tool, k,
			     known);
		free(text);
		json_decref(got);
		json_decref(want);
		json_decref(expected);
		json_decref(applied);
	}
}

Test(migrations, a_list_is_split_at_commas_and_an_empty_one_is_refused)
{
	struct cow_error e = COW_ERROR_INIT;
	json_t *list = NULL;

	cr_assert_eq(migrations_expected("a, b/,c", -1, &list, &e), 0);
	cr_expect_eq(json_array_size(list), 3);
	cr_expect_str_eq(json_string_value(json_array_get(list, 1)), "b");
	json_decref(list);
	cr_expect_eq(migrations_expected(" , ", -1, &list, &e), -EINVAL);
}
