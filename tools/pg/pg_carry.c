// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pg_carry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/pg/pg_impl.h"

struct texts {
	cow_errno (*each)(void *arg, const char *text);
	void *arg;
};

static cow_errno one_text(void *arg, const char *const *v)
{
	struct texts *t = arg;

	return v[0] ? t->each(t->arg, v[0]) : 0;
}

static cow_errno keep_text(void *arg, const char *const *v)
{
	char **to = arg;

	free(*to);
	*to = v[0] ? strdup(v[0]) : NULL;
	return *to || !v[0] ? 0 : -ENOMEM;
}

/* --- what is there --- */

cow_errno cow_pg_tables(struct pg_session *s, cow_errno (*each)(void *arg, const char *table),
			void *arg, struct cow_error *e)
{
	static const struct pg_query q = {
	    .doing = "list the tables",
	    .sql = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c "
		   "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND "
		   "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 1"};
	struct texts t = {each, arg};

	return pg_rows(s, &q, one_text, &t, e);
}

struct sum {
	char *text;
	uint64_t *rows;
};

static cow_errno one_sum(void *arg, const char *const *v)
{
	struct sum *s = arg;

	snprintf(s->text, PG_CONTENTS_SIZE, "%s rows, sum %s", v[0], v[1]);
	if (s->rows)
		*s->rows = strtoull(v[0], NULL, 10);
	return 0;
}

cow_errno cow_pg_contents(struct pg_session *s, const char *table, int64_t seed,
			  char ret[PG_CONTENTS_SIZE], uint64_t *ret_rows, struct cow_error *e)
{
	CLEANUP_FREE char *sql = NULL;
	struct sum sum = {ret, ret_rows};
	cow_errno r;

	/* t.* is the row even if a column is called t. */
	if (asprintf(&sql,
		     "SELECT count(*), coalesce(sum(hashtextextended((t.*)::text, '%" PRId64
		     "')), 0) FROM ONLY %s t",
		     seed, table) < 0)
		return cow_fail(e, -ENOMEM, "out of memory");
	r = pg_rows(s, &(struct pg_query){.doing = "sum up a table", .sql = sql}, one_sum, &sum, e);
	return r < 0 ? cow_wrap(e, r, "%s", table) : 0;
}

cow_errno cow_pg_carry_begin(struct pg_session *s, struct cow_error *e)
{
	return pg_run(
	    s, "prepare the session",
	    "SET session_replication_role = replica; SET search_path = pg_catalog; "
	    "SET row_security = off; SET synchronous_commit = off; SET statement_timeout = 0; "
	    "SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; "
	    "SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; "
	    "SET extra_float_digits = 1; SET bytea_output = 'hex'; SET xmloption = 'content'; "
	    "SET lc_monetary = 'C'; SET client_min_messages = error",
	    e);
}

cow_errno cow_pg_table_name(struct pg_session *s, const char *schema, const char *table, char **ret,
			    struct cow_error *e)
{
	const char *const params[] = {schema, table};
	const struct pg_query q = {.doing = "name a table",
				   .sql = "SELECT format('%I.%I', $1::text, $2::text)",
				   .n = 2,
				   .params = params};

	*ret = NULL;
	return pg_rows(s, &q, keep_text, ret, e);
}

cow_errno cow_pg_carry_obstacle(struct pg_session *s, const char *tables, char *buf, size_t size,
				struct cow_error *e)
{
	const struct pg_query q = {
	    .doing = "look for what forbids to replace rows",
	    .sql = "SELECT format('trigger %s of %s always fires', tgname, tgrelid::regclass) FROM "
		   "pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('A', 'R') "
		   "UNION ALL SELECT format('event trigger %s always fires', evtname) FROM "
		   "pg_event_trigger WHERE evtenabled IN ('A', 'R') "
		   "UNION ALL SELECT format('%s belongs to an extension', objid::regclass) FROM "
		   "pg_depend "
		   "WHERE classid = 'pg_class'::regclass AND deptype = 'e' AND "
		   "objid = ANY ($1::text[]::regclass[]) LIMIT 1",
	    .n = 1,
	    .params = &tables};
	CLEANUP_FREE char *found = NULL;
	cow_errno r = pg_rows(s, &q, keep_text, &found, e);

	snprintf(buf, size, "%s", found ? found : "");
	return r;
}

/* --- foreign keys --- */

struct keys {
	cow_errno (*each)(void *arg, const char *drop, const char *make);
	void *arg;
};

static cow_errno one_key(void *arg, const char *const *v)
{
	struct keys *k = arg;

	return k->each(k->arg, v[0], v[1]);
}

cow_errno cow_pg_carry_keys(struct pg_session *s, const char *tables,
			    cow_errno (*each)(void *arg, const char *drop, const char *make),
			    void *arg, struct cow_error *e)
{
	/* Those of partitions come and go with that of the tree. */
	const struct pg_query q = {
	    .doing = "list the foreign keys",
	    .sql =
		"WITH t AS (SELECT unnest($1::text[]::regclass[])::oid AS oid), "
		"all_of AS (SELECT oid FROM t UNION SELECT pg_partition_ancestors(oid) FROM t) "
		"SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname), "
		"format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, "
		"pg_get_constraintdef(c.oid)) || coalesce(format('; COMMENT ON CONSTRAINT %I ON %s "
		"IS %L', conname, conrelid::regclass, obj_description(c.oid, 'pg_constraint')), "
		"'') "
		"FROM pg_constraint c WHERE contype = 'f' AND conparentid = 0 AND "
		"(conrelid IN (SELECT oid FROM all_of) OR confrelid IN (SELECT oid FROM all_of)) "
		"ORDER BY 1",
	    .n = 1,
	    .params = &tables};
	struct keys k = {each, arg};

	return pg_rows(s, &q, one_key, &k, e);
}

cow_errno cow_pg_carry_key(struct pg_session *s, const char *statement, struct cow_error *e)
{
	return pg_run(s, "change a foreign key", statement, e);
}

/* --- rows --- */

/* All columns that have values of their own: '"a", "b"'; NULL none. */
static cow_errno columns_of(struct pg_session *s, const char *table, char **ret,
			    struct cow_error *e)
{
	const struct pg_query q = {
	    .doing = "list the columns",
	    .sql =
		"SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute "
		"WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND "
		"attgenerated = ''",
	    .n = 1,
	    .params = &table};

	*ret = NULL;
	return pg_rows(s, &q, keep_text, ret, e);
}

static cow_errno copy_mode(struct pg_session *s, const char *sql, ExecStatusType mode,
			   struct cow_error *e)
{
	CLEANUP(pg_clear) PGresult *res = PQexec(s->c, sql);

	return PQresultStatus(res) == mode
		   ? 0
		   : pg_said(e, -EIO, "copy a table", PQresultErrorMessage(res));
}

/* The detail would show values. */
static const char *primary(const PGresult *res)
{
	const char *said = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	return said ? said : "the connection is gone";
}

/* After the last row; the session can be used again. */
static cow_errno copy_result(struct pg_session *s, struct cow_error *e)
{
	cow_errno r = 0;
	PGresult *res;

	while ((res = PQgetResult(s->c))) {
		if (PQresultStatus(res) != PGRES_COMMAND_OK && r == 0)
			r = pg_said(e, PQstatus(s->c) == CONNECTION_OK ? -EIO : -ECONNRESET,
				    "copy a table", primary(res));
		PQclear(res);
	}
	return r;
}

static cow_errno pump(struct pg_session *from, struct pg_session *to, struct cow_error *e)
{
	cow_errno r = 0, end;
	char *row;
	int n;

	while ((n = PQgetCopyData(from->c, &row, 0)) > 0) {
		if (r == 0 && PQputCopyData(to->c, row, n) != 1)
			r = pg_said(e, -ECONNRESET, "copy a table", PQerrorMessage(to->c));
		PQfreemem(row);
	}
	end = copy_result(from, r == 0 ? e : NULL);
	if (r == 0)
		r = end;
	if (PQputCopyEnd(to->c, r < 0 ? "the source failed" : NULL) != 1 && r == 0)
		r = pg_said(e, -ECONNRESET, "copy a table", PQerrorMessage(to->c));
	end = copy_result(to, r == 0 ? e : NULL);
	return r < 0 ? r : end;
}

cow_errno cow_pg_carry_table(struct pg_session *from, struct pg_session *to, const char *table,
			     struct cow_error *e)
{
	CLEANUP_FREE char *columns = NULL, *out = NULL, *in = NULL, *clear = NULL;
	cow_errno r = columns_of(from, table, &columns, e);

	/* The same columns by name: an empty list would be all of them, in any order. */
	if (r == 0 && (asprintf(&out, "COPY (SELECT %s FROM ONLY %s) TO STDOUT",
				columns ? columns : "", table) < 0 ||
		       asprintf(&in, columns ? "COPY %s (%s) FROM STDIN" : "COPY %s FROM STDIN",
				table, columns) < 0 ||
		       asprintf(&clear, "BEGIN; TRUNCATE ONLY %s", table) < 0))
		r = cow_fail(e, -ENOMEM, "out of memory");
	if (r == 0)
		r = pg_run(to, "empty a table", clear, e);
	if (r == 0)
		r = copy_mode(to, in, PGRES_COPY_IN, e);
	if (r == 0 && (r = copy_mode(from, out, PGRES_COPY_OUT, e)) < 0) {
		PQputCopyEnd(to->c, "the source failed");
		copy_result(to, NULL);
	}
	if (r == 0)
		r = pump(from, to, e);
	if (r == 0)
		r = pg_run(to, "commit", "COMMIT", e);
	if (r < 0)
		pg_run(to, "roll back", "ROLLBACK", NULL);
	return r < 0 ? cow_wrap(e, r, "%s", table) : 0;
}

/* --- sequences and views --- */

struct sequences {
	struct pg_session *from, *to;
	struct cow_error *e;
};

struct position {
	char last[24], called[8];
};

static cow_errno keep_position(void *arg, const char *const *v)
{
	struct position *p = arg;

	snprintf(p->last, sizeof(p->last), "%s", v[0]);
	snprintf(p->called, sizeof(p->called), "%s", v[1]);
	return 0;
}

static cow_errno position_of(struct pg_session *s, const char *sequence, struct position *ret,
			     struct cow_error *e)
{
	CLEANUP_FREE char *sql = NULL;

	if (asprintf(&sql, "SELECT last_value, is_called FROM %s", sequence) < 0)
		return cow_fail(e, -ENOMEM, "out of memory");
	return pg_rows(s, &(struct pg_query){.doing = "read a sequence", .sql = sql}, keep_position,
		       ret, e);
}

static cow_errno one_sequence(void *arg, const char *sequence)
{
	struct sequences *q = arg;
	struct position there = {"", ""}, here = {"", ""};
	const char *const params[] = {sequence, there.last, there.called};
	const struct pg_query set = {
	    .doing = "set a sequence",
	    .sql = "SELECT setval($1::text::regclass, $2::bigint, $3::boolean)",
	    .n = 3,
	    .params = params};
	cow_errno r = position_of(q->from, sequence, &there, q->e);

	if (r == 0)
		r = position_of(q->to, sequence, &here, q->e);
	if (r < 0 || (strcmp(there.last, here.last) == 0 && strcmp(there.called, here.called) == 0))
		return r;
	return pg_rows(q->to, &set, NULL, NULL, q->e);
}

cow_errno cow_pg_carry_sequences(struct pg_session *from, struct pg_session *to,
				 struct cow_error *e)
{
	static const struct pg_query q = {
	    .doing = "list the sequences",
	    .sql = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace "
		   "n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND "
		   "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 1"};
	struct sequences both = {from, to, e};
	struct texts t = {one_sequence, &both};

	return pg_rows(from, &q, one_text, &t, e);
}

struct views {
	struct pg_session *s;
	struct cow_error *e;
};

static cow_errno one_view(void *arg, const char *statement)
{
	struct views *v = arg;

	return pg_run(v->s, "refresh a materialized view", statement, v->e);
}

cow_errno cow_pg_refresh_views(struct pg_session *s, struct cow_error *e)
{
	/* Those that others are made of have the smaller numbers. */
	static const struct pg_query q = {
	    .doing = "list the materialized views",
	    .sql = "SELECT format('REFRESH MATERIALIZED VIEW %s', oid::regclass) FROM pg_class "
		   "WHERE relkind = 'm' AND relispopulated ORDER BY oid"};
	struct views v = {s, e};
	struct texts t = {one_view, &v};

	return pg_rows(s, &q, one_text, &t, e);
}

/* --- at the end --- */

cow_errno cow_pg_vacuum(struct pg_session *s, const char *table, struct cow_error *e)
{
	CLEANUP_FREE char *sql = NULL;

	if (asprintf(&sql, "VACUUM (FREEZE, ANALYZE) %s", table) < 0)
		return cow_fail(e, -ENOMEM, "out of memory");
	return pg_run(s, "vacuum a table", sql, e);
}

cow_errno cow_pg_rewrite_statistics(struct pg_session *s, struct cow_error *e)
{
	return pg_run(s, "rewrite the statistics", "VACUUM FULL pg_statistic", e);
}
