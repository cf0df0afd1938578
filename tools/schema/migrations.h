// SPDX-License-Identifier: Apache-2.0
/* migrations: which of the migrations of an application does a database lack?
 *
 * What was applied stands in a table of the tool that did it (pg_migrations.h); what should be
 * there is said by the caller: names of files or folders, or ids, as the tool calls them. Pure. */
#pragma once
#include <stdbool.h>

#include <jansson.h>

#include "store/error.h"

/* What one of those tables holds. */
struct migrations_tool {
	const char *name;
	const char *columns; /* that its table has and no other one: "a b"; the first fit counts */
	const char *sql;     /* ids that were applied, of the table %s */
	enum {
		MIGRATIONS_NAME,    /* the name of the file or folder */
		MIGRATIONS_VERSION, /* the number that the name begins with */
		MIGRATIONS_LATEST,  /* the same, but only the latest is kept */
		MIGRATIONS_FLYWAY,  /* V1.2__name or V1_2__name */
		MIGRATIONS_DJANGO,  /* app.0001_name, or app/migrations/0001_name.py */
		MIGRATIONS_EXACT,   /* an id and nothing else */
	} kind;
};
extern const struct migrations_tool migrations_tools[]; /* ends with a NULL name */

/* Names that tables of migration tools have; ends with NULL. */
extern const char *const migrations_tables[];

/* `applied`: array of texts; `expected`: array of lines, paths allowed. Answers the ids that are
 * expected and not applied, once each, in order; *ret_known: how many of the lines are migrations.
 * What is none (a lock file, a README, a step back) is passed over. NULL without memory. */
json_t *migrations_missing(const struct migrations_tool *tool, const json_t *applied,
			   const json_t *expected, size_t *ret_known);

/* "a, b" and lines, or the names in a folder, as an array of texts; `text` "-" reads `in`. -ENOENT,
 * -EACCES ... a folder cannot be read. */
cow_errno migrations_expected(const char *text, int in, json_t **ret, struct cow_error *e);
