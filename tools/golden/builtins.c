// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/builtins.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/cli/parse.h"

/* --- classes of types --- */

enum class {
	CLASS_TEXT = 1 << 0,
	CLASS_INTEGER = 1 << 1,
	CLASS_NUMERIC = 1 << 2,
	CLASS_FLOAT = 1 << 3,
	CLASS_DATE = 1 << 4,
	CLASS_TIME = 1 << 5, /* timestamps */
	CLASS_UUID = 1 << 6,
	CLASS_BYTEA = 1 << 7,
	CLASS_JSON = 1 << 8,
	CLASS_INET = 1 << 9,
	CLASS_OTHER = 1 << 10,
};
#define CLASS_ANY (~0u)

static const struct {
	const char *type;
	enum class class;
} classes[] = {
    {"text", CLASS_TEXT},      {"varchar", CLASS_TEXT},     {"bpchar", CLASS_TEXT},
    {"name", CLASS_TEXT},      {"citext", CLASS_TEXT},      {"int2", CLASS_INTEGER},
    {"int4", CLASS_INTEGER},   {"int8", CLASS_INTEGER},     {"numeric", CLASS_NUMERIC},
    {"float4", CLASS_FLOAT},   {"float8", CLASS_FLOAT},     {"date", CLASS_DATE},
    {"timestamp", CLASS_TIME}, {"timestamptz", CLASS_TIME}, {"uuid", CLASS_UUID},
    {"bytea", CLASS_BYTEA},    {"json", CLASS_JSON},        {"jsonb", CLASS_JSON},
    {"inet", CLASS_INET},
};

static enum class class_of(const struct golden_column *c) {
	for (size_t k = 0; c->base_kind == 'b' && k < sizeof(classes) / sizeof(classes[0]);
	     k++) if (strcmp(classes[k].type, c->base) == 0) return classes[k]
	    .class;
	return CLASS_OTHER;
}

static void put_quoted(FILE *f, const char *text, char quote)
{
	fputc(quote, f);
	for (; *text; text++) {
		if (*text == quote)
			fputc(quote, f);
		fputc(*text, f);
	}
	fputc(quote, f);
}

static char *quoted(const char *text, char quote)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);

	if (!f)
		return NULL;
	put_quoted(f, text, quote);
	return fclose(f) == 0 ? buf : NULL;
}

char *golden_quote_name(const char *name)
{
	return quoted(name, '"');
}

char *golden_quote_text(const char *text)
{
	return quoted(text, '\'');
}

/* --- writing one expression --- */

struct emit {
	FILE *f;
	const struct golden_table *table;
	const struct golden_column *column;
	const struct golden_call *call;
	const char *domain;
	const char *value; /* SQL of the value: the column, or an element of its array */
	enum class class;
	struct cow_error *e;
};

/* The value as text; equal ones of citext differ in case. */
static void put_text(struct emit *m)
{
	const char *base = m->column->base;

	fprintf(m->f, strcmp(base, "citext") == 0 ? "lower(%s::text)" : "%s::text", m->value);
}

static int most(const struct emit *m)
{
	return m->column->length > 0 ? m->column->length : 1000;
}

static cow_errno emit_email(struct emit *m)
{
	fputs("cowfs_mask.email(", m->f);
	put_text(m);
	fprintf(m->f, ", %d, ", most(m));
	put_quoted(m->f, m->domain, '\'');
	fputc(')', m->f);
	return 0;
}

/* Those that take the value, the most characters, and whether it must be the only one of its kind.
 */
static cow_errno emit_fake(struct emit *m)
{
	fprintf(m->f, "cowfs_mask.%s(", m->call->name);
	put_text(m);
	fprintf(m->f, ", %d, %s)", most(m), m->column->unique ? "true" : "false");
	return 0;
}

static cow_errno emit_plain(struct emit *m)
{
	fprintf(m->f, "cowfs_mask.%s(", m->call->name);
	put_text(m);
	fputc(')', m->f);
	return 0;
}

static cow_errno emit_hash(struct emit *m)
{
	if (m->class == CLASS_INTEGER) {
		fprintf(m->f, "cowfs_mask.number(%s::bigint, %s)", m->value,
			strcmp(m->column->base, "int2") == 0 ? "true" : "false");
		return 0;
	}
	if (m->class == CLASS_NUMERIC) {
		fprintf(m->f, "cowfs_mask.shape(%s::text)", m->value);
		return 0;
	}
	if (m->class == CLASS_BYTEA)
		fputs("decode(", m->f);
	fputs("cowfs_mask.hash(", m->f);
	put_text(m);
	fprintf(m->f, ", %d)%s", m->class == CLASS_TEXT ? most(m) : 32,
		m->class == CLASS_BYTEA ? ", 'hex')" : "");
	return 0;
}

static cow_errno emit_json(struct emit *m)
{
	fprintf(m->f, "cowfs_mask.json(%s::jsonb, ", m->value);
	put_quoted(m->f, m->domain, '\'');
	fputc(')', m->f);
	return 0;
}

static cow_errno emit_null(struct emit *m)
{
	if (m->column->not_null)
		return cow_fail(m->e, -EINVAL, "the column is NOT NULL");
	fputs("NULL", m->f);
	return 0;
}

static cow_errno emit_value(struct emit *m)
{
	if (m->column->unique)
		return cow_fail(m->e, -EINVAL,
				"the column is unique, and value is the same for all");
	fprintf(m->f, "CASE WHEN %s IS NOT NULL THEN ", m->value);
	put_quoted(m->f, m->call->args[0], '\'');
	/* Cast inside: a CASE of unknown literals would be text. */
	fprintf(m->f, "::%s END", m->column->type);
	return 0;
}

static cow_errno emit_sql(struct emit *m)
{
	fprintf(m->f, "(%s)", m->call->args[0]);
	return 0;
}

static const struct golden_column *find_column(const struct golden_table *t, const char *name)
{
	for (size_t k = 0; k < t->n_columns; k++)
		if (strcmp(t->columns[k].name, name) == 0)
			return &t->columns[k];
	return NULL;
}

static cow_errno emit_shift(struct emit *m)
{
	uint64_t days;
	cow_errno r = parse_number(m->call->args[0], 1, 36500, &days, m->e);

	if (r < 0)
		return cow_wrap(m->e, r, "days");
	if (m->call->n_args > 1 && !find_column(m->table, m->call->args[1]))
		return cow_fail(m->e, -EINVAL, "there is no column %s in the table",
				m->call->args[1]);
	fprintf(m->f, "%s + cowfs_mask.days(", m->value);
	if (m->call->n_args > 1) {
		fputs("coalesce(", m->f);
		put_quoted(m->f, m->call->args[1], '"');
		fputs("::text, ", m->f);
		put_text(m);
		fputc(')', m->f);
	} else {
		put_text(m);
	}
	fprintf(m->f, ", %d)%s", (int)days, m->class == CLASS_TIME ? " * interval '1 day'" : "");
	return 0;
}

static cow_errno emit_noise(struct emit *m)
{
	char *end;
	double part = strtod(m->call->args[0], &end);

	if (*end || !(part > 0 && part <= 1))
		return cow_fail(m->e, -EINVAL, "noise takes a part from 0 to 1, not '%s'",
				m->call->args[0]);
	fprintf(m->f, "(%s * cowfs_mask.noise(", m->value);
	put_text(m);
	fprintf(m->f, ", %g)%s)", part, m->class == CLASS_NUMERIC ? "::numeric" : "");
	return 0;
}

static cow_errno emit_partial(struct emit *m)
{
	uint64_t front, back;
	cow_errno r = parse_number(m->call->args[0], 0, 1000, &front, m->e);

	if (r == 0)
		r = parse_number(m->call->args[2], 0, 1000, &back, m->e);
	if (r < 0)
		return r;
	fputs("cowfs_mask.partial(", m->f);
	put_text(m);
	fprintf(m->f, ", %d, ", (int)front);
	put_quoted(m->f, m->call->args[1], '\'');
	fprintf(m->f, ", %d)", (int)back);
	return 0;
}

#define CLASS_HASHED (CLASS_TEXT | CLASS_INTEGER | CLASS_NUMERIC | CLASS_UUID | CLASS_BYTEA)

static const struct builtin {
	const char *name;
	unsigned classes;
	size_t least, most; /* arguments */
	cow_errno (*emit)(struct emit *m);
	bool whole; /* about the value as a whole, also of an array */
} builtins[] = {
    {"email", CLASS_TEXT, 0, 0, emit_email, false},
    {"name", CLASS_TEXT, 0, 0, emit_fake, false},
    {"first_name", CLASS_TEXT, 0, 0, emit_fake, false},
    {"last_name", CLASS_TEXT, 0, 0, emit_fake, false},
    {"company", CLASS_TEXT, 0, 0, emit_fake, false},
    {"city", CLASS_TEXT, 0, 0, emit_fake, false},
    {"address", CLASS_TEXT, 0, 0, emit_fake, false},
    {"phone", CLASS_TEXT, 0, 0, emit_fake, false},
    {"card", CLASS_TEXT, 0, 0, emit_fake, false},
    {"iban", CLASS_TEXT, 0, 0, emit_plain, false},
    {"text", CLASS_TEXT, 0, 0, emit_plain, false},
    {"shape", CLASS_TEXT | CLASS_NUMERIC, 0, 0, emit_plain, false},
    {"ip", CLASS_TEXT | CLASS_INET, 0, 0, emit_plain, false},
    {"hash", CLASS_HASHED, 0, 0, emit_hash, false},
    {"shift", CLASS_DATE | CLASS_TIME, 1, 2, emit_shift, false},
    {"noise", CLASS_INTEGER | CLASS_NUMERIC | CLASS_FLOAT, 1, 1, emit_noise, false},
    {"partial", CLASS_TEXT, 3, 3, emit_partial, false},
    {"json", CLASS_JSON, 0, 0, emit_json, false},
    {"null", CLASS_ANY, 0, 0, emit_null, true},
    {"value", CLASS_ANY, 1, 1, emit_value, true},
    {"sql", CLASS_ANY, 1, 1, emit_sql, true},
};

static const struct builtin *find_builtin(const char *name, struct cow_error *e)
{
	const char *best = NULL;
	unsigned least = 3;

	for (size_t k = 0; k < sizeof(builtins) / sizeof(builtins[0]); k++) {
		unsigned far = parse_distance(builtins[k].name, name);

		if (far == 0)
			return &builtins[k];
		if (far < least) {
			least = far;
			best = builtins[k].name;
		}
	}
	cow_fail(e, -EINVAL, "there is no rule %s%s%s", name, best ? "; did you mean " : "",
		 best ? best : "");
	return NULL;
}

static cow_errno check_fits(const struct golden_column *c, const struct golden_call *call,
			    const struct builtin *b, struct cow_error *e)
{
	if (call->n_args < b->least || call->n_args > b->most)
		return cow_fail(e, -EINVAL, "%s takes %zu%s argument%s, not %zu", b->name, b->least,
				b->most > b->least ? " or more" : "", b->least == 1 ? "" : "s",
				call->n_args);
	if (c->generated)
		return cow_fail(e, -EINVAL, "the column is generated: mask those it is made from");
	if (!(b->classes & class_of(c)))
		return cow_fail(e, -EINVAL, "%s is not for the type %s", b->name, c->type);
	return 0;
}

/* An array goes element by element; one of several dimensions cannot be put together again. */
static cow_errno emit_array(struct emit *m, const struct builtin *b, const char *column)
{
	cow_errno r;

	fprintf(m->f,
		"CASE WHEN cardinality(%s) = 0 THEN %s WHEN array_ndims(%s) > 1 THEN "
		"cowfs_mask.refuse_array()::%s ELSE (SELECT array_agg((",
		column, column, column, m->column->type);
	m->value = "u.x";
	r = b->emit(m);
	/* type[] without its brackets is the type of an element. */
	fprintf(m->f, ")::%.*s ORDER BY u.i) FROM unnest(%s) WITH ORDINALITY AS u(x, i)) END",
		(int)strcspn(m->column->type, "["), m->column->type, column);
	return r;
}

cow_errno golden_expression(const struct golden_table *t, const struct golden_column *c,
			    const struct golden_call *call, const char *domain, char **ret,
			    struct cow_error *e)
{
	CLEANUP_FREE char *column = golden_quote_name(c->name);
	const struct builtin *b = find_builtin(call->name, e);
	char *sql = NULL;
	size_t len = 0;
	struct emit m = {.table = t,
			 .column = c,
			 .call = call,
			 .domain = domain,
			 .value = column,
			 .class = class_of(c),
			 .e = e};
	cow_errno r = b ? check_fits(c, call, b, e) : -EINVAL;

	if (r < 0)
		return r;
	m.f = open_memstream(&sql, &len);
	if (!m.f || !column)
		return cow_fail(e, -ENOMEM, "no memory for an expression");
	fputc('(', m.f);
	if (c->array && !b->whole && strchr(c->type, '['))
		r = emit_array(&m, b, column);
	else if (c->array && !b->whole)
		r = cow_fail(e, -EINVAL,
			     "a domain over an array has no rule but null, value and sql");
	else
		r = b->emit(&m);
	fprintf(m.f, ")::%s", c->type);
	if (fclose(m.f) != 0 && r == 0)
		r = cow_fail(e, -ENOMEM, "no memory for an expression");
	if (r < 0)
		free(sql);
	else
		*ret = sql;
	return r;
}
