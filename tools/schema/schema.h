// SPDX-License-Identifier: Apache-2.0
/* schema: how the schemas of two branches differ.
 *
 * Twice, because each says what the other cannot: the text is pg_dump's of both sides compared by
 * diff (complete, for people), the list comes from the catalogs object by object (for programs and
 * for a comment in a pull request). Owners, rights and comments count; rows do not. */
#pragma once
#include <jansson.h>
#include <stdio.h>

#include "tools/pg/pgvisit.h"

/* What a branch has in one database. */
struct schema {
	int dump;        /* descriptor of what pg_dump says, in memory */
	json_t *objects; /* as cow_pg_schema_objects */
};

#define SCHEMA_INIT                                                                                \
	{                                                                                          \
		.dump = -1                                                                         \
	}

/* `bindir`: of the newer one of the two servers. -ENOENT no such database. */
cow_errno schema_read(const struct pgbranch *b, const char *bindir, const char *database,
		      struct schema *ret, struct cow_error *e);
void schema_release(struct schema *s);

/* An array of {change: added|changed|dropped, kind, name, table, from, to}; what belongs to a table
 * that was added or dropped as a whole is not listed again. Owned by the caller. */
json_t *schema_compare(const json_t *from, const json_t *to);

/* The text of `diff -u`, "" when equal. The caller frees *ret. */
cow_errno schema_diff_text(const struct schema *from, const struct schema *to, const char *a,
			   const char *b, char **ret, struct cow_error *e);

/* `result` (as of cowfs schema diff) as Markdown of at most `max` bytes: what does not fit is cut,
 * and it is said. Nothing in it is taken for markup, whatever objects are called. The caller frees
 * *ret. (markdown.c) */
cow_errno schema_markdown(const json_t *result, size_t max, char **ret);
