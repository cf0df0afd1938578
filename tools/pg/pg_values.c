// SPDX-License-Identifier: Apache-2.0
/* pg_values: values and rows that are taken before masking and looked for afterwards (pg_proof.h).
 */
#include "tools/pg/pg_proof.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/pg/pg_impl.h"

#define OVERSAMPLE 4u /* rows that are looked at for one distinct value */

static void free_quoted(char **p)
{
	PQfreemem(*p);
}
#define CLEANUP_QUOTED CLEANUP(free_quoted)

/* schema.table, quoted; NULL without memory. */
static char *relation(struct pg_session *s, const struct pg_value_source *f)
{
	CLEANUP_QUOTED char *schema = PQescapeIdentifier(s->c, f->schema, strlen(f->schema));
	CLEANUP_QUOTED char *table = PQescapeIdentifier(s->c, f->table, strlen(f->table));
	char *all = NULL;

	if (!schema || !table || asprintf(&all, "ONLY %s.%s", schema, table) < 0)
		return NULL;
	return all;
}

/* Rows from all over the table, without reading all of a large one. */
static void sampling(const struct pg_value_source *f, char *buf, size_t size)
{
	double share = f->rows ? 100.0 * OVERSAMPLE * f->limit / (double)f->rows : 100;

	if (share >= 50)
		buf[0] = '\0';
	else
		snprintf(buf, size, " TABLESAMPLE SYSTEM (%.6f) REPEATABLE (1)", share);
}

/* --- values --- */

static const struct shape {
	const char *base;
	enum pg_value_form form;
	const char *sql; /* the value as text; %s is the column */
} shapes[] = {
    {"numeric", PG_VALUE_NUMERIC, "v::text"},
    {"int8", PG_VALUE_INT8, "v::text"},
    {"float8", PG_VALUE_FLOAT8, "v::text"},
    {"uuid", PG_VALUE_HEX, "encode(uuid_send(v), 'hex')"},
    {"bytea", PG_VALUE_HEX, "encode(v, 'hex')"},
    /* Microseconds since 2000; those of whole seconds repeat. */
    {"timestamp", PG_VALUE_INT8,
     "CASE WHEN isfinite(v) AND extract(microseconds FROM v)::numeric % 1000000 <> 0 THEN "
     "(extract(epoch FROM v)::numeric * 1000000 - 946684800000000)::bigint::text END"},
    {"timestamptz", PG_VALUE_INT8,
     "CASE WHEN isfinite(v) AND extract(microseconds FROM v)::numeric % 1000000 <> 0 THEN "
     "(extract(epoch FROM v)::numeric * 1000000 - 946684800000000)::bigint::text END"},
    /* Stored in another form and of few values: proven by rows alone. */
    {"int4", PG_VALUE_TEXT, NULL},
    {"int2", PG_VALUE_TEXT, NULL},
    {"float4", PG_VALUE_TEXT, NULL},
    {"bool", PG_VALUE_TEXT, NULL},
    {"date", PG_VALUE_TEXT, NULL},
    {"time", PG_VALUE_TEXT, NULL},
    {"timetz", PG_VALUE_TEXT, NULL},
    {"interval", PG_VALUE_TEXT, NULL},
    {"money", PG_VALUE_TEXT, NULL},
    {"inet", PG_VALUE_TEXT, NULL},
    {"cidr", PG_VALUE_TEXT, NULL},
    {"macaddr", PG_VALUE_TEXT, NULL},
    /* Words stand alone in there. */
    {"tsvector", PG_VALUE_TEXT, "(regexp_matches(v::text, '''([^'']*)''', 'g'))[1]"},
    {"jsonb", PG_VALUE_TEXT,
     "(SELECT s #>> '{}' FROM jsonb_path_query(v, 'strict $.**') s WHERE jsonb_typeof(s) = "
     "'string' "
     "ORDER BY length(s #>> '{}') DESC LIMIT 1)"},
};

static const struct shape *shape_of(const struct pg_value_source *f)
{
	static const struct shape text = {"", PG_VALUE_TEXT, "v::text"};
	static const struct shape parts = {"", PG_VALUE_TEXT,
					   "regexp_split_to_table(v::text, '[][(){},\"]+')"};

	for (size_t k = 0; k < sizeof(shapes) / sizeof(shapes[0]); k++)
		if (strcmp(shapes[k].base, f->base) == 0)
			return &shapes[k];
	return f->kind == 'b' || f->kind == 'e' ? &text : &parts;
}

struct values {
	cow_errno (*each)(void *arg, enum pg_value_form form, const char *value);
	void *arg;
	enum pg_value_form form;
};

static cow_errno one_value(void *arg, const char *const *v)
{
	struct values *l = arg;

	return v[0] ? l->each(l->arg, l->form, v[0]) : 0;
}

cow_errno cow_pg_values(struct pg_session *s, const struct pg_value_source *from,
			cow_errno (*each)(void *arg, enum pg_value_form form, const char *value),
			void *arg, struct cow_error *e)
{
	const struct shape *shape = shape_of(from);
	struct values l = {each, arg, shape->form};
	CLEANUP_FREE char *sql = NULL, *table = relation(s, from);
	CLEANUP_QUOTED char *column = PQescapeIdentifier(s->c, from->column, strlen(from->column));
	char part[80];

	if (!shape->sql)
		return 0;
	sampling(from, part, sizeof(part));
	if (!table || !column ||
	    asprintf(&sql,
		     "SELECT DISTINCT %s FROM (SELECT %s%s%s AS v FROM %s%s WHERE %s IS DISTINCT "
		     "FROM NULL LIMIT %u) x LIMIT %u",
		     shape->sql, from->array ? "unnest(" : "", column, from->array ? ")" : "",
		     table, part, column, from->limit * OVERSAMPLE, from->limit) < 0)
		return cow_fail(e, -ENOMEM, "out of memory");
	return pg_rows(s, &(struct pg_query){.doing = "take values", .sql = sql}, one_value, &l, e);
}

struct texts {
	cow_errno (*each)(void *arg, const char *text);
	void *arg;
};

static cow_errno one_text(void *arg, const char *const *v)
{
	struct texts *t = arg;

	return v[0] ? t->each(t->arg, v[0]) : 0;
}

cow_errno cow_pg_values_present(struct pg_session *s, const struct pg_value_source *from,
				const char *array, cow_errno (*each)(void *arg, const char *value),
				void *arg, struct cow_error *e)
{
	CLEANUP_FREE char *sql = NULL, *table = relation(s, from);
	CLEANUP_QUOTED char *column = PQescapeIdentifier(s->c, from->column, strlen(from->column));
	struct texts t = {each, arg};

	if (!table || !column ||
	    asprintf(&sql,
		     "SELECT DISTINCT w.value FROM unnest($1::text[]) w(value) JOIN %s t "
		     "ON lower(t.%s::text) = lower(w.value)",
		     table, column) < 0)
		return cow_fail(e, -ENOMEM, "out of memory");
	return pg_rows(s,
		       &(struct pg_query){.doing = "look for values",
					  .sql = sql,
					  .n = 1,
					  .params = (const char *const[]){array}},
		       one_text, &t, e);
}

/* --- rows --- */

static cow_errno keep_text(void *arg, const char *text)
{
	snprintf(arg, 256, "%s", text);
	return 0;
}

cow_errno cow_pg_primary_key(struct pg_session *s, const char *schema, const char *table, char *ret,
			     size_t size, struct cow_error *e)
{
	char text[256] = "";
	struct texts t = {keep_text, text};
	cow_errno r = pg_rows(
	    s,
	    &(struct pg_query){.doing = "read a primary key",
			       .sql = "SELECT array_to_string(k.conkey, ' ') FROM pg_constraint k "
				      "JOIN pg_class c ON c.oid = k.conrelid "
				      "JOIN pg_namespace n ON n.oid = c.relnamespace "
				      "WHERE k.contype = 'p' AND n.nspname = $1 AND c.relname = $2",
			       .n = 2,
			       .params = (const char *const[]){schema, table}},
	    one_text, &t, e);

	snprintf(ret, size, "%s", text);
	return r;
}

static cow_errno dup_text(void *arg, const char *text)
{
	*(char **)arg = strdup(text);
	return *(char **)arg ? 0 : -ENOMEM;
}

cow_errno cow_pg_column_list(struct pg_session *s, const char *schema, const char *table,
			     const char *numbers, char **ret, struct cow_error *e)
{
	struct texts t = {dup_text, ret};

	*ret = NULL;
	return pg_rows(s,
		       &(struct pg_query){
			   .doing = "list columns",
			   .sql =
			       "SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) "
			       "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
			       "JOIN pg_namespace n ON n.oid = c.relnamespace "
			       "WHERE n.nspname = $1 AND c.relname = $2 "
			       "AND a.attnum = ANY (string_to_array($3, ' ')::int[])",
			   .n = 3,
			   .params = (const char *const[]){schema, table, numbers}},
		       one_text, &t, e);
}

static cow_errno two_texts(void *arg, const char *const *v)
{
	char **to = arg;

	to[0] = v[0] ? strdup(v[0]) : NULL;
	to[1] = v[1] ? strdup(v[1]) : NULL;
	return 0;
}

cow_errno cow_pg_row_sample(struct pg_session *s, const struct pg_value_source *from,
			    const char *key_columns, char **ret_keys, char **ret_sums,
			    struct cow_error *e)
{
	CLEANUP_FREE char *sql = NULL, *table = relation(s, from);
	CLEANUP_QUOTED char *column = PQescapeIdentifier(s->c, from->column, strlen(from->column));
	char part[80], *got[2] = {NULL, NULL};
	cow_errno r;

	sampling(from, part, sizeof(part));
	if (!table || !column ||
	    asprintf(&sql,
		     "SELECT array_agg(k), array_agg(m) FROM (SELECT json_build_array(%s)::text k, "
		     "md5(%s::text) m FROM %s%s WHERE %s IS DISTINCT FROM NULL LIMIT %u) x",
		     key_columns, column, table, part, column, from->limit) < 0)
		return cow_fail(e, -ENOMEM, "out of memory");
	r = pg_rows(s, &(struct pg_query){.doing = "take rows", .sql = sql}, two_texts, got, e);
	*ret_keys = got[0];
	*ret_sums = got[1];
	return r;
}

static cow_errno two_numbers(void *arg, const char *const *v)
{
	uint64_t *to = arg;

	to[0] = strtoull(v[0], NULL, 10);
	to[1] = strtoull(v[1], NULL, 10);
	return 0;
}

cow_errno cow_pg_row_compare(struct pg_session *s, const struct pg_value_source *from,
			     const char *key_columns, const char *keys, const char *sums,
			     uint64_t *ret_rows, uint64_t *ret_same, struct cow_error *e)
{
	CLEANUP_FREE char *sql = NULL, *table = relation(s, from);
	CLEANUP_QUOTED char *column = PQescapeIdentifier(s->c, from->column, strlen(from->column));
	uint64_t got[2] = {0, 0};
	cow_errno r;

	if (!table || !column ||
	    asprintf(
		&sql,
		"SELECT count(*), count(*) FILTER (WHERE md5(t.v::text) = o.m) FROM "
		"unnest($1::text[], $2::text[]) o(k, m) JOIN (SELECT json_build_array(%s)::text k, "
		"%s AS v FROM %s) t USING (k)",
		key_columns, column, table) < 0)
		return cow_fail(e, -ENOMEM, "out of memory");
	r = pg_rows(s,
		    &(struct pg_query){.doing = "compare rows",
				       .sql = sql,
				       .n = 2,
				       .params = (const char *const[]){keys, sums}},
		    two_numbers, got, e);
	*ret_rows = got[0];
	*ret_same = got[1];
	return r;
}
