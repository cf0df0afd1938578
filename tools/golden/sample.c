// SPDX-License-Identifier: Apache-2.0
/* sample: which values the image must not hold, and which of them it may show after all.
 *
 * Masking draws names from lists, and a name from a list may be that of a real customer. So an
 * original that the masked columns of the image show is not looked for in its bytes, unless the
 * rows say that the column was not masked: of the rows that were sampled with a key that stays,
 * more than a few have the value they had. Then its values are looked for, and found. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/golden/publish_parts.h"
#include "tools/pg/pg_proof.h"

#define UNCHANGED_PERCENT 5u /* by accident: short lists */
#define COMPARED_MIN 20u
#define DISTINCT_ROWS_MIN 10u

static struct pg_value_source source_of(const struct golden_run *run, const struct golden_table *t,
					const struct golden_column *c)
{
	return (struct pg_value_source){.schema = t->schema,
					.table = t->name,
					.column = c->name,
					.base = c->base,
					.array = c->array,
					.kind = c->base_kind,
					.rows = t->rows,
					.limit = run->conf->sample};
}

/* --- before masking --- */

struct take {
	struct originals *o;
	uint32_t column;
};

static cow_errno add_hex(struct originals *o, uint32_t column, const char *hex)
{
	size_t n = strlen(hex) / 2;
	CLEANUP_FREE char *bytes = malloc(n + 1);

	if (!bytes)
		return -ENOMEM;
	for (size_t k = 0; k < n; k++) {
		char two[3] = {hex[2 * k], hex[2 * k + 1], '\0'};

		bytes[k] = (char)strtoul(two, NULL, 16);
	}
	return originals_add(o, column, ORIGINAL_BYTES, bytes, n);
}

static cow_errno add_value(void *arg, enum pg_value_form form, const char *value)
{
	static const enum original_form forms[] = {[PG_VALUE_TEXT] = ORIGINAL_TEXT,
						   [PG_VALUE_NUMERIC] = ORIGINAL_NUMERIC,
						   [PG_VALUE_INT8] = ORIGINAL_INT8,
						   [PG_VALUE_FLOAT8] = ORIGINAL_FLOAT8};
	struct take *t = arg;

	if (form == PG_VALUE_HEX)
		return add_hex(t->o, t->column, value);
	return originals_add(t->o, t->column, forms[form], value, strlen(value));
}

/* The key of a table, when masking leaves all of it: "a, b" quoted, or NULL. */
static cow_errno staying_key(struct pg_session *s, const struct golden_table *t, char **ret,
			     struct cow_error *e)
{
	char numbers[256], *at = numbers;
	cow_errno r = cow_pg_primary_key(s, t->schema, t->name, numbers, sizeof(numbers), e);

	*ret = NULL;
	if (r < 0 || !numbers[0])
		return r;
	while (*at) {
		long number = strtol(at, &at, 10);

		for (size_t k = 0; k < t->n_columns; k++)
			if (t->columns[k].number == number && t->columns[k].decision != GOLDEN_KEEP)
				return 0;
	}
	return cow_pg_column_list(s, t->schema, t->name, numbers, ret, e);
}

static cow_errno take_column(struct golden_run *run, struct pg_session *s, const char *database,
			     const struct golden_table *t, const struct golden_column *c,
			     const char *key, struct originals *o, struct cow_error *e)
{
	const struct pg_value_source from = source_of(run, t, c);
	struct take take = {o, 0};
	struct original_column *column;
	char name[300];
	cow_errno r;

	snprintf(name, sizeof(name), "%s.%s", t->schema, t->name);
	if (originals_column(o, database, name, c->name, &take.column) < 0)
		return cow_fail(e, -ENOMEM, "out of memory");
	r = cow_pg_values(s, &from, add_value, &take, e);
	column = originals_get(o, take.column);
	column->of = t;
	column->is = c;
	if (r == 0 && key && (column->key_columns = strdup(key)))
		r = cow_pg_row_sample(s, &from, key, &column->keys, &column->sums, e);
	return r;
}

static cow_errno take_table(struct golden_run *run, struct pg_session *s, const char *database,
			    const struct golden_table *t, struct originals *o, struct cow_error *e)
{
	CLEANUP_FREE char *key = NULL;
	cow_errno r = 0;
	bool masked = false;

	for (size_t k = 0; k < t->n_columns; k++)
		masked = masked || t->columns[k].decision == GOLDEN_MASK ||
			 t->columns[k].decision == GOLDEN_EMPTY;
	if (!masked || t->kind != 'r')
		return 0;
	r = staying_key(s, t, &key, e);
	for (size_t k = 0; r == 0 && k < t->n_columns; k++)
		if (t->columns[k].decision == GOLDEN_MASK || t->columns[k].decision == GOLDEN_EMPTY)
			r = take_column(run, s, database, t, &t->columns[k], key, o, e);
	return r < 0 ? cow_wrap(e, r, "take samples of %s.%s", t->schema, t->name) : 0;
}

cow_errno golden_originals_take(struct golden_run *run, struct originals **ret, struct cow_error *e)
{
	const struct golden_server *from = run->import.running ? &run->import : &run->masked;
	struct originals *o = originals_new(run->conf->min_length);
	cow_errno r = o ? 0 : cow_fail(e, -ENOMEM, "out of memory");

	for (size_t d = 0; r == 0 && d < run->n_databases; d++) {
		const struct golden_database *db = &run->databases[d];
		struct pg_address at = golden_address(from, db->name);
		struct pg_session *s = NULL;

		r = cow_pg_open(&at, &s, e);
		for (size_t k = 0; r == 0 && k < db->n_tables; k++)
			r = take_table(run, s, db->name, &db->tables[k], o, e);
		cow_pg_close(s);
	}
	if (r < 0)
		originals_free(o);
	else
		*ret = o;
	return r;
}

/* --- in the image --- */

/* All values as a literal of text[]. */
struct literal {
	FILE *f;
	bool any;
};

static int append(void *arg, uint32_t column, const char *value, size_t len)
{
	struct literal *l = arg;

	fputs(l->any ? ",\"" : "{\"", l->f);
	for (size_t k = 0; k < len; k++) {
		if (value[k] == '"' || value[k] == '\\')
			fputc('\\', l->f);
		fputc(value[k], l->f);
	}
	fputc('"', l->f);
	l->any = true;
	return 0;
}

static char *all_values(const struct originals *o)
{
	char *text = NULL;
	size_t len = 0;
	struct literal l = {open_memstream(&text, &len), false};

	if (!l.f)
		return NULL;
	originals_each(o, append, &l);
	fputs(l.any ? "}" : "{}", l.f);
	if (fclose(l.f) == 0)
		return text;
	free(text);
	return NULL;
}

static cow_errno drop(void *arg, const char *value)
{
	originals_drop(arg, value, strlen(value));
	return 0;
}

static bool was_masked(const struct original_column *c)
{
	return c->compared < COMPARED_MIN || c->unchanged * 100 <= c->compared * UNCHANGED_PERCENT;
}

static cow_errno settle_column(struct golden_image *g, struct pg_session *s,
			       struct original_column *c, const char *values, struct cow_error *e)
{
	const struct pg_value_source from = source_of(g->run, c->of, c->is);
	cow_errno r = 0;

	if (c->is->decision != GOLDEN_MASK)
		return 0;
	if (c->keys && c->sums)
		r = cow_pg_row_compare(s, &from, c->key_columns, c->keys, c->sums, &c->compared,
				       &c->unchanged, e);
	if (r == 0 && was_masked(c) && !c->is->array && c->is->base_kind == 'b')
		r = cow_pg_values_present(s, &from, values, drop, g->originals, e);
	return r < 0 ? cow_wrap(e, r, "compare %s.%s", c->table, c->column) : 0;
}

static cow_errno settle_database(struct golden_image *g, const char *name, const char *values,
				 struct cow_error *e)
{
	struct pg_address at = golden_address(&g->server, name);
	struct pg_session *s = NULL;
	cow_errno r = cow_pg_open(&at, &s, e);

	for (uint32_t k = 0; r == 0 && k < originals_count(g->originals); k++) {
		struct original_column *c = originals_get(g->originals, k);

		if (strcmp(c->database, name) == 0)
			r = settle_column(g, s, c, values, e);
	}
	cow_pg_close(s);
	return r;
}

/* Rows that are what they were: more than an accident explains. Few distinct values say little. */
static cow_errno judge_rows(struct golden_image *g, struct cow_error *e)
{
	uint64_t rows = 0;

	for (uint32_t k = 0; k < originals_count(g->originals); k++) {
		const struct original_column *c = originals_get(g->originals, k);
		char text[400];

		rows += c->compared;
		if (c->compared < COMPARED_MIN || c->unchanged * 2 <= c->compared)
			continue;
		snprintf(text, sizeof(text),
			 "%s.%s of %s: %llu of %llu rows have the value they had", c->table,
			 c->column, c->database, (unsigned long long)c->unchanged,
			 (unsigned long long)c->compared);
		/* Sampled values are distinct: a column of two values may well look the same. */
		if (c->sampled >= DISTINCT_ROWS_MIN || c->unchanged == c->compared)
			return golden_checked(g, "rows changed", false, c->compared, text, e);
	}
	return golden_checked(g, "rows changed", true, rows, NULL, e);
}

cow_errno golden_originals_settle(struct golden_image *g, struct cow_error *e)
{
	CLEANUP_FREE char *values = all_values(g->originals);
	cow_errno r = values ? 0 : cow_fail(e, -ENOMEM, "out of memory");

	for (size_t d = 0; r == 0 && d < g->run->n_databases; d++)
		r = settle_database(g, g->run->databases[d].name, values, e);
	if (r == 0)
		r = judge_rows(g, e);
	if (r == 0 && originals_ready(g->originals) < 0)
		r = cow_fail(e, -ENOMEM, "out of memory");
	return r;
}
