// SPDX-License-Identifier: Apache-2.0
/* inventory: the tables and columns of every database of the image, read from a server. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "store/cleanup.h"
#include "tools/golden/columns.h"
#include "tools/pg/pg_golden.h"

static void column_release(struct golden_column *c)
{
	free(c->name);
	free(c->type);
	free(c->base);
	free(c->ancestors);
	free(c->rule);
	free(c->origin);
	free(c->expression);
	free(c->why_not);
}

void golden_databases_free(struct golden_database *d, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		for (size_t t = 0; t < d[k].n_tables; t++) {
			struct golden_table *table = &d[k].tables[t];

			for (size_t c = 0; c < table->n_columns; c++)
				column_release(&table->columns[c]);
			free(table->columns);
			free(table->schema);
			free(table->name);
			free(table->root_schema);
			free(table->root_name);
			free(table->label);
		}
		for (size_t f = 0; f < d[k].n_keys; f++)
			for (size_t p = 0; p < 6; p++)
				free(((char **)&d[k].keys[f])[p]);
		free(d[k].keys);
		free(d[k].tables);
		free(d[k].name);
	}
	free(d);
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

/* Room for one more; doubles at powers of two. */
static void *grow(void *array, size_t n, size_t size)
{
	return n & (n - 1) ? array : realloc(array, (n ? 2 * n : 1) * size);
}

static struct golden_table *new_table(struct golden_database *d, const struct pg_column *c)
{
	struct golden_table *more = grow(d->tables, d->n_tables, sizeof(*more)), *t;

	if (!more)
		return NULL;
	d->tables = more;
	t = &more[d->n_tables++];
	*t = (struct golden_table){.schema = copy(c->schema),
				   .name = copy(c->table),
				   .root_schema = copy(c->root_schema),
				   .root_name = copy(c->root_table),
				   .kind = c->kind,
				   .oid = c->oid,
				   .rows = c->rows,
				   .bytes = c->bytes};
	return t->schema && t->name && !c->root_schema == !t->root_schema &&
		       !c->root_table == !t->root_name
		   ? t
		   : NULL;
}

static cow_errno take_column(void *arg, const struct pg_column *c)
{
	struct golden_database *d = arg;
	struct golden_table *t = d->n_tables ? &d->tables[d->n_tables - 1] : NULL;
	struct golden_column *more;

	if (!t || t->oid != c->oid)
		t = new_table(d, c);
	more = t ? grow(t->columns, t->n_columns, sizeof(*more)) : NULL;
	if (!more)
		return -ENOMEM;
	t->columns = more;
	more[t->n_columns] = (struct golden_column){.name = copy(c->column),
						    .type = copy(c->type),
						    .base = copy(c->base),
						    .ancestors = copy(c->ancestors),
						    .base_kind = c->base_kind,
						    .array = c->array,
						    .length = c->length,
						    .number = c->number,
						    .not_null = c->not_null,
						    .generated = c->generated,
						    .unique = c->unique,
						    .partition_key = c->partition_key};
	more = &more[t->n_columns++];
	return more->name && more->type && more->base && !c->ancestors == !more->ancestors
		   ? 0
		   : -ENOMEM;
}

static cow_errno take_key(void *arg, const struct pg_foreign_key *k)
{
	struct golden_database *d = arg;
	struct golden_key *more = grow(d->keys, d->n_keys, sizeof(*more));

	if (!more)
		return -ENOMEM;
	d->keys = more;
	more = &more[d->n_keys++];
	*more = (struct golden_key){copy(k->schema),    copy(k->table),    copy(k->column),
				    copy(k->to_schema), copy(k->to_table), copy(k->to_column)};
	return more->schema && more->table && more->column && more->to_schema && more->to_table &&
		       more->to_column
		   ? 0
		   : -ENOMEM;
}

/* --- labels --- */

struct labelling {
	struct golden_rules *rules;
	const char *database;
	struct cow_error *e;
};

static cow_errno take_label(void *arg, const char *schema, const char *table, const char *column,
			    const char *label)
{
	struct labelling *l = arg;
	struct golden_rule n = {.database = copy(l->database),
				.schema = copy(schema),
				.table = copy(table),
				.column = copy(column),
				.origin = copy("a label in the source")};

	if (!n.database || !n.schema || !n.table || !n.column || !n.origin)
		return -ENOMEM;
	return golden_rules_add_label(l->rules, &n, label, l->e);
}

/* --- databases --- */

struct listing {
	const struct golden_conf *conf;
	struct golden_database *d;
	size_t n;
};

static bool wanted(const struct golden_conf *conf, const char *name)
{
	for (char **w = conf->databases; w && *w; w++)
		if (strcmp(*w, name) == 0)
			return true;
	return !conf->databases;
}

static cow_errno take_database(void *arg, const char *name)
{
	struct listing *l = arg;
	struct golden_database *more;

	if (!wanted(l->conf, name))
		return 0;
	more = grow(l->d, l->n, sizeof(*more));
	if (!more)
		return -ENOMEM;
	l->d = more;
	more[l->n] = (struct golden_database){.name = copy(name)};
	return more[l->n++].name ? 0 : -ENOMEM;
}

static cow_errno list_databases(struct listing *l, const struct pg_address *at, struct cow_error *e)
{
	struct pg_address where = *at;
	struct pg_session *s = NULL;
	cow_errno r;

	/* A connection string may lead to any database; every cluster has this one. */
	if (!at->url)
		where.dbname = "postgres";
	r = cow_pg_open(&where, &s, e);
	if (r == 0)
		r = cow_pg_databases(s, take_database, l, e);
	cow_pg_close(s);
	for (char **w = l->conf->databases; r == 0 && w && *w; w++) {
		bool found = false;

		for (size_t k = 0; k < l->n; k++)
			found |= strcmp(l->d[k].name, *w) == 0;
		if (!found)
			r = cow_fail(e, -ENOENT, "the source has no database %s", *w);
	}
	return r;
}

static cow_errno read_database(const struct golden_conf *conf, const struct pg_address *at,
			       struct golden_rules *rules, struct golden_database *d,
			       struct cow_error *e)
{
	struct labelling l = {.rules = rules, .database = d->name, .e = e};
	struct pg_address where = *at;
	struct pg_session *s = NULL;
	cow_errno r;

	where.dbname = d->name;
	r = cow_pg_open(&where, &s, e);
	if (r == 0)
		r = cow_pg_columns(s, take_column, d, e);
	if (r == 0)
		r = cow_pg_foreign_keys(s, take_key, d, e);
	if (r == 0)
		r = cow_pg_count_large_objects(s, &d->large_objects, e);
	if (r == 0 && conf->labels)
		r = cow_pg_anon_labels(s, take_label, &l, e);
	cow_pg_close(s);
	return r < 0 ? cow_wrap(e, r, "database %s", d->name) : 0;
}

cow_errno golden_inventory(const struct golden_conf *conf, const struct pg_address *at,
			   struct golden_rules *rules, struct golden_database **ret, size_t *ret_n,
			   struct cow_error *e)
{
	struct listing l = {.conf = conf};
	cow_errno r = list_databases(&l, at, e);

	for (size_t k = 0; r == 0 && k < l.n; k++)
		r = read_database(conf, at, rules, &l.d[k], e);
	if (r < 0) {
		golden_databases_free(l.d, l.n);
		return r;
	}
	*ret = l.d;
	*ret_n = l.n;
	return 0;
}
