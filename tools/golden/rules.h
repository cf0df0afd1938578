// SPDX-License-Identifier: Apache-2.0
/* rules: what users say about columns, as text and as a list.
 *
 * A folder of *.sql files, read in the order of their names; files in a subfolder are for the
 * database of that name alone. Statements end with ';', comments and quoting are those of SQL:
 *
 *   MASK  [schema.]table.column WITH rule[(argument, ...)];
 *   KEEP  [schema.]table (column, ...);      KEEP [schema.]table.column;
 *   EMPTY [schema.]table;                    -- published without rows
 *   LARGE OBJECTS KEEP;                      LARGE OBJECTS EMPTY;
 *   SECURITY LABEL FOR anon ON COLUMN ... IS 'MASKED WITH FUNCTION anon.fake_email()';
 *
 * There are no wildcards: what nobody listed is undecided. Two statements for one column are an
 * error. The labels of PostgreSQL Anonymizer become rules of ours (anon.c); what has no counterpart
 * is refused. */
#pragma once
#include "tools/golden/golden.h"

#define GOLDEN_ARGS 6

struct golden_call { /* a rule with its arguments; all owned */
	char *name;
	char *args[GOLDEN_ARGS];
	bool quoted[GOLDEN_ARGS]; /* a text, not a number or a name */
	size_t n_args;
};

struct golden_rule {
	enum golden_decision decision; /* KEEP, MASK, EMPTY */
	bool large_objects;            /* about those, not about a table */
	char *database;                /* NULL = any */
	char *schema, *table, *column; /* column NULL: EMPTY */
	struct golden_call call;       /* MASK */
	char *origin;                  /* "rules/shop.sql:12" */
	bool used;                     /* something was found that it is about */
};

struct golden_rules {
	struct golden_rule *rules;
	size_t n, cap;
	char hash[65]; /* SHA-256 of the files with their names, hex */
};

/* -EINVAL with file and line; -ENOENT no such folder. */
cow_errno golden_rules_load(const char *folder, struct golden_rules *ret, struct cow_error *e);
void golden_rules_release(struct golden_rules *r);

/* Add the rules in `text`. `origin` names where it is from. */
cow_errno golden_rules_parse(struct golden_rules *r, const char *text, const char *origin,
			     const char *database, struct cow_error *e);

/* What a label for anon means: sets decision (NOT MASKED is a KEEP) and call of `n`. -EINVAL it has
 * no counterpart. (anon.c) */
cow_errno golden_label_read(const char *label, struct golden_rule *n, struct cow_error *e);

/* Add a rule for a label read from the catalog, unless there is one for its column already. Takes
 * over the contents of `n`, also on failure. */
cow_errno golden_rules_add_label(struct golden_rules *r, struct golden_rule *n, const char *label,
				 struct cow_error *e);

/* The rule for a column (column NULL: for the table). NULL = none. Borrowed until rules are added.
 */
struct golden_rule *golden_rules_find(struct golden_rules *r, const char *database,
				      const char *schema, const char *table, const char *column);
struct golden_rule *golden_rules_large_objects(struct golden_rules *r, const char *database);

/* "shift(30, id)"; allocated. */
char *golden_call_text(const struct golden_call *c);

/* --- shared by rules*.c and anon.c: words of SQL --- */

enum golden_token { TOKEN_END, TOKEN_NAME, TOKEN_TEXT, TOKEN_NUMBER, TOKEN_SIGN, TOKEN_BAD };
struct golden_scan {
	const char *at; /* next byte */
	unsigned line;  /* of the token, from 1 */
	enum golden_token token;
	char *word;  /* of the token; owned; names as SQL sees them */
	bool quoted; /* a "name" */
};
/* Read one token. `word` of the previous one is freed. */
void golden_scan_next(struct golden_scan *s);
void golden_scan_release(struct golden_scan *s);
/* Does the token say this (keyword or sign)? */
bool golden_scan_is(const struct golden_scan *s, const char *word);
/* rule[(args)] from the present token on. */
cow_errno golden_scan_call(struct golden_scan *s, struct golden_call *ret, struct cow_error *e);
void golden_call_release(struct golden_call *c);
