// SPDX-License-Identifier: Apache-2.0
/* One result in every format. */
#include "tools/cli/output.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

static const struct output_column columns[] = {
    {"name", "NAME", OUTPUT_TEXT, NULL},
    {"bytes", "SIZE", OUTPUT_BYTES, NULL},
    {"labels", "LABELS", OUTPUT_LABELS, NULL},
    {0},
};
static const struct output_spec rows_spec = {.rows = "items", .columns = columns};
static const struct output_spec tree_spec = {
    .rows = "items",
    .columns = columns,
    .tree_id = "id",
    .tree_parent = "parent_id",
};

static const char *const two_items =
    "{\"items\": [{\"id\": \"b\", \"parent_id\": \"a\", \"name\": \"child\", \"bytes\": 1536,"
    "             \"labels\": []},"
    "            {\"id\": \"a\", \"parent_id\": null, \"name\": \"main\", \"bytes\": 10,"
    "             \"labels\": [\"default\", \"poisoned\"]}]}";

/* Printed text; freed by the test process's end. */
static char *printed(struct output o, const char *json, const struct output_spec *spec)
{
	json_t *v = json_loads(json, 0, NULL);
	char *text = NULL;
	size_t size = 0;

	cr_assert(v);
	o.out = open_memstream(&text, &size);
	cr_assert_eq(output_print(&o, v, spec), 0);
	fclose(o.out);
	json_decref(v);
	return text;
}

/* Sizes for people have one decimal below 100 and a unit. */
Test(output, bytes_for_people)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {{0, "0 B"},
		     {1023, "1023 B"},
		     {1024, "1.0 KiB"},
		     {1536, "1.5 KiB"},
		     {200 << 20, "200 MiB"},
		     {(1u << 20) - 1, "1.0 MiB"},
		     {UINT64_MAX, "16.0 EiB"}};
	char buf[32];

	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		output_bytes(cases[k].bytes, buf, sizeof(buf));
		cr_assert_str_eq(buf, cases[k].text);
	}
}

Test(output, json_is_the_result_itself)
{
	char *text = printed((struct output){.format = OUTPUT_JSON}, two_items, &rows_spec);
	json_t *want = json_loads(two_items, 0, NULL), *got = json_loads(text, 0, NULL);

	cr_assert(json_equal(want, got));
}

/* Tables have headings, sizes for people and labels in brackets. */
Test(output, table)
{
	char *text = printed((struct output){.format = OUTPUT_TABLE}, two_items, &rows_spec);

	cr_assert_str_eq(text, "NAME     SIZE LABELS\n"
			       "child 1.5 KiB \n"
			       "main     10 B [default] [poisoned]\n");
}

/* In a tree a child stands below its parent, wherever it was in the list. */
Test(output, tree_draws_parents_first)
{
	char *text = printed((struct output){.format = OUTPUT_TABLE}, two_items, &tree_spec);

	cr_assert(strstr(text, "main") < strstr(text, "child"));
	cr_assert(strstr(text, "child"));
}

/* A circle of parents, which only damage could make, ends. */
Test(output, tree_survives_a_circle)
{
	printed((struct output){.format = OUTPUT_TABLE},
		"{\"items\": [{\"id\": \"a\", \"parent_id\": \"b\", \"name\": \"x\"},"
		"{\"id\": \"b\", \"parent_id\": \"a\", \"name\": \"y\"}]}",
		&tree_spec);
}

Test(output, quiet_prints_names_only)
{
	char *text =
	    printed((struct output){.format = OUTPUT_TABLE, .quiet = true}, two_items, &rows_spec);

	cr_assert_str_eq(text, "child\nmain\n");
}

Test(output, tsv_is_exact_and_escaped)
{
	char *text =
	    printed((struct output){.format = OUTPUT_TSV},
		    "{\"items\": [{\"name\": \"a\\tb\\n\", \"bytes\": 1536}]}", &rows_spec);

	cr_assert_str_eq(text, "name\tbytes\tlabels\na\\tb\\n\t1536\t\n");
}

/* A shell that reads the variables gets the text as it was, quotes and all. */
Test(output, env_is_quoted_for_a_shell)
{
	static const struct output_column one[] = {
	    {"uri", "URL", OUTPUT_TEXT, "DATABASE_URL"},
	    {0},
	};
	static const struct output_spec spec = {.columns = one};
	char *text = printed((struct output){.format = OUTPUT_ENV},
			     "{\"uri\": \"it's $x\", \"some-key\": 3, \"gone\": null}", &spec);

	cr_assert_str_eq(text, "DATABASE_URL='it'\\''s $x'\n"
			       "COWFS_SOME_KEY='3'\n"
			       "COWFS_GONE=''\n");
}

/* What YAML would take for something else is quoted. */
Test(output, yaml_quotes_what_is_ambiguous)
{
	char *text = printed(
	    (struct output){.format = OUTPUT_YAML},
	    "{\"a\": \"plain/name\", \"b\": \"yes\", \"c\": \"1.5\", \"d\": [], \"e\": {\"f\": 1},"
	    "\"g\": [{\"h\": true, \"i\": null}, \"x y\"]}",
	    &rows_spec);

	cr_assert_str_eq(text, "a: plain/name\n"
			       "b: \"yes\"\n"
			       "c: \"1.5\"\n"
			       "d: []\n"
			       "e:\n"
			       "  f: 1\n"
			       "g:\n"
			       "  - h: true\n"
			       "    i: null\n"
			       "  - \"x y\"\n");
}

/* One record in a table is a line per column; keys that are missing have none. */
Test(output, record)
{
	static const struct output_column one[] = {
	    {"name", "Name", OUTPUT_TEXT, NULL},
	    {"age", "Made", OUTPUT_AGE, NULL},
	    {"mounted", "Mounted", OUTPUT_BOOL, NULL},
	    {0},
	};
	static const struct output_spec spec = {.columns = one};
	char *text = printed((struct output){.format = OUTPUT_TABLE},
			     "{\"name\": \"main\", \"mounted\": false}", &spec);

	cr_assert_str_eq(text, "Name     main\nMounted  no\n");
}
