// SPDX-License-Identifier: Apache-2.0
/* cowfs schema diff: what a migration did to the schema of a branch. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/cli/commands.h"
#include "tools/cli/exitcode.h"
#include "tools/cli/parse.h"
#include "tools/daemon/json_text.h"
#include "tools/schema/schema.h"

#define MARKDOWN_MAX 60000

static const struct output_column columns[] = {
    {"change", "CHANGE", OUTPUT_TEXT, NULL}, {"kind", "KIND", OUTPUT_TEXT, NULL},
    {"name", "NAME", OUTPUT_TEXT, NULL},     {"from", "BEFORE", OUTPUT_TEXT, NULL},
    {"to", "AFTER", OUTPUT_TEXT, NULL},      {0},
};
static const struct output_spec spec = {.rows = "changes", .columns = columns};

static json_t *side(const struct pgbranch *b)
{
	return json_pack("{s:o,s:i}", "branch", json_text(b->name), "version", b->major);
}

static json_t *summary(const json_t *changes)
{
	json_int_t n[3] = {0};
	json_t *c;
	size_t k;

	json_array_foreach (changes, k, c) {
		const char *word = json_string_value(json_object_get(c, "change"));

		n[*word == 'a' ? 0 : *word == 'c' ? 1 : 2]++;
	}
	return json_pack("{s:I,s:I,s:I}", "added", n[0], "changed", n[1], "dropped", n[2]);
}

/* Both servers run. */
static cow_errno compare(const struct pgbranch *a, const struct pgbranch *b, const char *database,
			 json_t **ret, struct cow_error *e)
{
	/* The newer one's pg_dump can read both, and writes both the same way. */
	const char *bindir = a->major > b->major ? a->bindir : b->bindir;
	struct schema from = SCHEMA_INIT, to = SCHEMA_INIT;
	CLEANUP_FREE char *text = NULL;
	json_t *changes;
	cow_errno r = schema_read(a, bindir, database, &from, e);

	if (r == 0)
		r = schema_read(b, bindir, database, &to, e);
	if (r == 0)
		r = schema_diff_text(&from, &to, a->name, b->name, &text, e);
	if (r == 0) {
		changes = schema_compare(from.objects, to.objects);
		*ret = json_pack("{s:o,s:o,s:s,s:b,s:o,s:o,s:o}", "from", side(a), "to", side(b),
				 "database", database, "equal",
				 !*text && json_array_size(changes) == 0, "summary",
				 summary(changes), "changes", changes, "diff", json_text(text));
	}
	schema_release(&from);
	schema_release(&to);
	return r < 0 || *ret ? r : cow_fail(e, -ENOMEM, "out of memory");
}

static cow_errno visit_both(struct command_call *call, const char *database, json_t **ret)
{
	struct pgvisit a, b;
	cow_errno r = pgvisit_begin(call, call->argv[0], &a);

	if (r < 0)
		return r;
	r = pgvisit_begin(call, call->argv[1], &b);
	if (r == 0)
		r = pgvisit_end(call, &b,
				compare(&a.branch, &b.branch, database, ret, &call->error));
	return pgvisit_end(call, &a, r);
}

enum form { FORM_TEXT, FORM_LIST, FORM_MARKDOWN };

static cow_errno form_of(struct command_call *call, enum form *ret, uint64_t *ret_max)
{
	static const char *const words[] = {"text", "list", "markdown"};
	const char *text = command_option(call, "format"), *max = command_option(call, "max-size");

	*ret_max = MARKDOWN_MAX;
	for (*ret = FORM_TEXT; text && *ret <= FORM_MARKDOWN; (*ret)++)
		if (strcmp(words[*ret], text) == 0)
			break;
	if (*ret > FORM_MARKDOWN)
		return command_usage(call, "--format takes text, list or markdown, not '%s'", text);
	return max ? parse_number(max, 1000, 10000000, ret_max, &call->error) : 0;
}

static cow_errno print(struct command_call *call, const json_t *result, enum form form,
		       uint64_t max)
{
	CLEANUP_FREE char *markdown = NULL;
	cow_errno r = 0;

	if (call->out.format != OUTPUT_TABLE || form == FORM_LIST) {
		r = output_print(&call->out, result, &spec);
	} else if (form == FORM_MARKDOWN) {
		r = schema_markdown(result, max, &markdown);
		if (r == 0 && fputs(markdown, call->out.out) < 0)
			r = -EIO;
	} else if (fputs(json_string_value(json_object_get(result, "diff")), call->out.out) < 0) {
		r = -EIO;
	}
	return r < 0 ? cow_fail(&call->error, r, "cannot print: %s", strerror(-r)) : 0;
}

static int run_diff(struct command_call *call)
{
	const char *database = command_option(call, "database");
	json_t *result = NULL;
	enum form form;
	uint64_t max;
	bool equal;
	cow_errno r = form_of(call, &form, &max);

	if (r == 0)
		r = visit_both(call, database ? database : "postgres", &result);
	if (r == 0)
		r = print(call, result, form, max);
	equal = json_is_true(json_object_get(result, "equal"));
	json_decref(result);
	if (r < 0)
		return r;
	return command_option(call, "exit-code") && !equal ? EXITCODE_FINDING : 0;
}

static const struct command_option options[] = {
    {"database", 'd', "NAME", "which database (default: postgres)"},
    {"format", 0, "FORM", "text: as diff -u; list: objects; markdown: a comment (default: text)"},
    {"max-size", 0, "BYTES", "of the Markdown (default: 60000)"},
    {"exit-code", 0, NULL, "exit status 9 when they differ"},
    {0},
};

const struct command cmd_schema_diff = {
    .group = "schema",
    .name = "diff",
    .summary = "show how the schemas of two branches differ",
    .usage = "A B [-d NAME] [--format text|list|markdown] [--exit-code]",
    .detail = "From A to B: tables, columns, types, indexes, constraints, views, functions, "
	      "triggers, policies,\nrights and the rest, not rows. -o json has the list and the "
	      "text. Branches that sleep or are\nstopped are started for it and put back.",
    .example = "cowfs schema diff main feature/add-orgs\n"
	       "cowfs schema diff main preview/pr-7 --format markdown",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .run = run_diff,
};
