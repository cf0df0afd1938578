// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pg_migrations.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/daemon/json_text.h"
#include "tools/pg/pg_impl.h"
#include "tools/schema/migrations.h"

struct find {
	struct pg_address at;
	const char *table, *database;
	const char *const *tables;
	const struct migrations_tool *tools;
	struct pg_session *s; /* of the database at hand */
	json_t *found;
	struct cow_error *e;
};

/* Every word of `want` is a word of `have`. */
static bool has_columns(const char *have, const char *want)
{
	char word[72], all[2000];

	snprintf(all, sizeof(all), " %s ", have);
	for (const char *p = want; *p;) {
		size_t n = strcspn(p, " ");

		snprintf(word, sizeof(word), " %.*s ", (int)n, p);
		if (!strstr(all, word))
			return false;
		p += n + (p[n] == ' ');
	}
	return true;
}

static cow_errno add_id(void *arg, const char *const *v)
{
	return v[0] ? json_array_append_new(arg, json_text(v[0])) : 0;
}

static cow_errno read_ids(struct find *f, const struct migrations_tool *tool, const char *table)
{
	json_t *applied = json_array();
	const char *mark = strstr(tool->sql, "%s");
	CLEANUP_FREE char *sql = NULL;
	cow_errno r;

	if (asprintf(&sql, "%.*s%s%s", (int)(mark - tool->sql), tool->sql, table, mark + 2) < 0)
		r = -ENOMEM;
	else
		r = pg_rows(f->s, &(struct pg_query){.doing = "read the migrations", .sql = sql},
			    add_id, applied, f->e);
	if (r == 0)
		f->found =
		    json_pack("{s:o,s:o,s:s,s:O}", "database", json_text(f->database), "table",
			      json_text(table), "tool", tool->name, "applied", applied);
	json_decref(applied);
	return r;
}

/* A table by name; its columns say whose it is. */
static cow_errno one_table(void *arg, const char *const *v)
{
	struct find *f = arg;

	for (const struct migrations_tool *t = f->tools; t->name && !f->found; t++)
		if (has_columns(v[1], t->columns))
			return read_ids(f, t, v[0]);
	return 0;
}

static cow_errno find_table(struct find *f, const char *name)
{
	const char *dot = strrchr(name, '.'), *table = dot ? dot + 1 : name;
	CLEANUP_FREE char *schema = dot ? strndup(name, (size_t)(dot - name)) : NULL;
	const char *const params[] = {table, schema};
	const struct pg_query q = {
	    .doing = "look for the table of migrations",
	    .sql = "SELECT format('%I.%I', n.nspname, c.relname), (SELECT string_agg(attname, ' ') "
		   "FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT "
		   "attisdropped) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON "
		   "n.oid = c.relnamespace WHERE c.relname = $1 AND c.relkind IN ('r', 'p') AND "
		   "n.nspname = coalesce($2, n.nspname) AND n.nspname !~ '^pg_' ORDER BY 1",
	    .n = 2,
	    .params = params};

	return pg_rows(f->s, &q, one_table, f, f->e);
}

static cow_errno look_in(struct find *f, const char *database)
{
	struct pg_address at = f->at;
	const char *const own[] = {f->table, NULL};
	cow_errno r;

	at.dbname = f->database = database;
	r = cow_pg_open(&at, &f->s, f->e);
	for (const char *const *t = f->table ? own : f->tables; r == 0 && *t && !f->found; t++)
		r = find_table(f, *t);
	cow_pg_close(f->s);
	f->s = NULL;
	return r;
}

static cow_errno one_database(void *arg, const char *const *v)
{
	struct find *f = arg;

	return f->found ? 0 : look_in(f, v[0]);
}

cow_errno cow_pg_migrations(const struct pg_address *at, const char *table,
			    const char *const *tables, const struct migrations_tool *tools,
			    json_t **ret, struct cow_error *e)
{
	static const struct pg_query q = {
	    .doing = "list the databases",
	    .sql = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT "
		   "datistemplate ORDER BY datname <> 'postgres' DESC, datname"};
	struct find f = {.at = *at, .table = table, .tables = tables, .tools = tools, .e = e};
	struct pg_address first = *at;
	struct pg_session *s = NULL;
	cow_errno r;

	first.dbname = "postgres";
	r = cow_pg_open(&first, &s, e);
	if (r == 0)
		r = pg_rows(s, &q, one_database, &f, e);
	cow_pg_close(s);
	if (r < 0)
		json_decref(f.found);
	else
		*ret = f.found;
	return r;
}
