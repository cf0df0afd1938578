// SPDX-License-Identifier: Apache-2.0
/* look: rules against data, without making an image. */
#pragma once
#include "tools/golden/golden.h"

/* Where `golden check` looks. */
struct golden_look {
	const char *branch; /* a branch of this store that runs, or runs for the time of the look */
	const char *url;    /* a connection string */
};

/* Compare rules with what is there. *ret: {problems: [...], notes: [...], rules, rules_hash,
 * tables, columns}. -EPERM when there are problems; *ret is set then too. */
cow_errno golden_check(struct command_call *call, const struct golden_conf *conf,
		       const struct golden_look *where, json_t **ret, struct cow_error *e);

/* A few rows of a table before and after. With `branch` NULL the source is fetched for it. *ret:
 * {table, columns: [...], rows: [{column, before, after}]}; `show` false leaves out "before". */
struct golden_preview {
	const char *table;    /* [schema.]table */
	const char *database; /* NULL = the first one that has the table */
	const char *branch;
	unsigned rows;
	bool show;
};
cow_errno golden_preview(struct command_call *call, const struct golden_conf *conf,
			 const struct golden_preview *how, json_t **ret, struct cow_error *e);
