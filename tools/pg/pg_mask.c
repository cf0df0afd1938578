// SPDX-License-Identifier: Apache-2.0
/* Masking of tables: the statements, and the state of a session that runs them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/pg/pg_golden.h"
#include "tools/pg/pg_impl.h"

/* Event triggers that fire ALWAYS, or for a REPLICA, would fire for our statements (a temporary
 * table is one): they are off while the schema is there, which knows how they were. */
#define PREPARE                                                                                    \
	"SET client_min_messages = error; SET session_replication_role = replica; "                \
	"SET search_path = pg_catalog; "

cow_errno cow_pg_mask_install(struct pg_session *s, const char *functions, struct cow_error *e)
{
	static const char begin[] = PREPARE
	    "DO $$ DECLARE t record; names text[] := '{}'; states text[] := '{}';\n"
	    "BEGIN\n"
	    "  FOR t IN SELECT evtname, evtenabled FROM pg_event_trigger\n"
	    "    WHERE evtenabled IN ('A', 'R') LOOP\n"
	    "    names := names || t.evtname::text; states := states || t.evtenabled::text;\n"
	    "    EXECUTE format('ALTER EVENT TRIGGER %I DISABLE', t.evtname);\n"
	    "  END LOOP;\n"
	    /* Of a masking that failed in the middle. */
	    "  IF to_regclass('cowfs_mask.event_triggers') IS NOT NULL THEN\n"
	    "    FOR t IN EXECUTE 'SELECT * FROM cowfs_mask.event_triggers' LOOP\n"
	    "      names := names || t.name; states := states || t.state;\n"
	    "    END LOOP;\n"
	    "  END IF;\n"
	    "  DROP SCHEMA IF EXISTS cowfs_mask CASCADE;\n"
	    "  CREATE SCHEMA cowfs_mask;\n"
	    "  CREATE TABLE cowfs_mask.event_triggers (name text, state text);\n"
	    "  INSERT INTO cowfs_mask.event_triggers SELECT * FROM unnest(names, states);\n"
	    "END $$";
	cow_errno r = pg_run(s, "prepare the functions of masking", begin, e);

	return r < 0 ? r : pg_run(s, "install the functions of masking", functions, e);
}

cow_errno cow_pg_mask_remove(struct pg_session *s, struct cow_error *e)
{
	static const char end[] = PREPARE
	    "DO $$ DECLARE t record; all_of json;\n"
	    "BEGIN\n"
	    "  SELECT coalesce(json_agg(x), '[]') INTO all_of FROM cowfs_mask.event_triggers x;\n"
	    "  DROP SCHEMA cowfs_mask CASCADE;\n"
	    "  FOR t IN SELECT * FROM json_to_recordset(all_of) AS x(name text, state text) LOOP\n"
	    "    EXECUTE format('ALTER EVENT TRIGGER %I ENABLE %s', t.name,\n"
	    "      CASE t.state WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END);\n"
	    "  END LOOP;\n"
	    "END $$";

	return pg_run(s, "remove the functions of masking", end, e);
}

cow_errno cow_pg_mask_begin(struct pg_session *s, const char *salt, struct cow_error *e)
{
	const struct pg_query q = {.doing = "set the salt",
				   .sql = "SELECT set_config('cowfs.salt', $1, false)",
				   .n = 1,
				   .params = &salt};
	/* search_path: a function of the user named like one of the system must not be called. */
	cow_errno r =
	    pg_run(s, "prepare masking",
		   "SET session_replication_role = replica; SET search_path = pg_catalog; "
		   "SET synchronous_commit = off; SET statement_timeout = 0; "
		   "SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; "
		   "SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; "
		   "SET TimeZone = 'UTC'; SET extra_float_digits = 1; "
		   "SET bytea_output = 'hex'",
		   e);

	return r < 0 ? r : pg_rows(s, &q, NULL, NULL, e);
}

/* --- statements --- */

static void put_name(FILE *f, const char *name)
{
	fputc('"', f);
	for (; *name; name++) {
		if (*name == '"')
			fputc('"', f);
		fputc(*name, f);
	}
	fputc('"', f);
}

static void put_table(FILE *f, const struct pg_mask_table *t)
{
	if (!t->whole_tree)
		fputs("ONLY ", f);
	put_name(f, t->schema);
	fputc('.', f);
	put_name(f, t->name);
}

static void put_names(FILE *f, const struct pg_mask_table *t)
{
	for (size_t k = 0; k < t->n; k++) {
		fputs(k ? ", " : "", f);
		put_name(f, t->columns[k].name);
	}
}

static char *update_sql(const struct pg_mask_table *t)
{
	char *sql = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&sql, &len);
	const char *comma = "";

	if (!f)
		return NULL;
	fputs("UPDATE ", f);
	put_table(f, t);
	fputs(" SET ", f);
	for (size_t k = 0; k < t->n; k++) {
		if (!t->columns[k].expression)
			continue;
		fputs(comma, f);
		put_name(f, t->columns[k].name);
		fprintf(f, " = %s", t->columns[k].expression);
		comma = ", ";
	}
	/* Rows with nothing to mask are not written again. A composite value of which a field is
	 * NULL "IS NOT NULL" in neither way. */
	comma = " WHERE ";
	for (size_t k = 0; k < t->n; k++) {
		if (!t->columns[k].expression)
			continue;
		fputs(comma, f);
		put_name(f, t->columns[k].name);
		fputs(" IS DISTINCT FROM NULL", f);
		comma = " OR ";
	}
	return fclose(f) == 0 ? sql : NULL;
}

/* The spool holds the rows as they will be; nothing of the old ones is left when they go back in.
 */
static char *replace_sql(const struct pg_mask_table *t)
{
	char *sql = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&sql, &len);

	if (!f)
		return NULL;
	fputs("CREATE TEMP TABLE cowfs_spool ON COMMIT DROP AS SELECT ", f);
	for (size_t k = 0; k < t->n; k++) {
		const struct pg_mask_column *c = &t->columns[k];

		fputs(k ? ", " : "", f);
		if (c->expression)
			fprintf(f, "%s AS ", c->expression);
		put_name(f, c->name);
	}
	fputs(" FROM ", f);
	put_table(f, t);
	fputs("; DELETE FROM ", f);
	put_table(f, t);
	fputs("; INSERT INTO ", f);
	put_name(f, t->schema);
	fputc('.', f);
	put_name(f, t->name);
	fputs(" (", f);
	put_names(f, t);
	fputs(") OVERRIDING SYSTEM VALUE SELECT ", f);
	put_names(f, t);
	fputs(" FROM cowfs_spool", f);
	return fclose(f) == 0 ? sql : NULL;
}

static char *preview_sql(const struct pg_mask_table *t, unsigned rows)
{
	char *sql = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&sql, &len);

	if (!f)
		return NULL;
	fputs("SELECT ", f);
	for (size_t k = 0; k < 2 * t->n; k++) {
		const struct pg_mask_column *c = &t->columns[k % t->n];

		fputs(k ? ", left((" : "left((", f);
		if (k < t->n || !c->expression)
			put_name(f, c->name);
		else
			fputs(c->expression, f);
		fputs(")::text, 80)", f);
	}
	fputs(" FROM ", f);
	put_table(f, t);
	fprintf(f, " LIMIT %u", rows);
	return fclose(f) == 0 ? sql : NULL;
}

/* --- what fires even for a replica --- */

struct switches {
	FILE *off, *on;
};

static cow_errno one_switch(void *arg, const char *const *v)
{
	struct switches *s = arg;

	fprintf(s->off, "%s; ", v[0]);
	fprintf(s->on, "%s; ", v[1]);
	return 0;
}

/* Triggers and rules that are set to fire ALWAYS, or for a REPLICA, would fire for us. *ret_off
 * switches them off, *ret_on puts them back as they were; both allocated. */
static cow_errno find_switches(struct pg_session *s, const struct pg_mask_table *t, char **ret_off,
			       char **ret_on, struct cow_error *e)
{
	static const char sql[] =
	    "WITH rels AS (SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name\n"
	    "  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace\n"
	    "  WHERE c.oid = format('%I.%I', $1::text, $2::text)::regclass\n"
	    "  OR c.oid IN (SELECT relid FROM\n"
	    "    pg_partition_tree(format('%I.%I', $1::text, $2::text)::regclass)))\n"
	    "SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', r.name, t.tgname),\n"
	    "  format('ALTER TABLE %s ENABLE %s TRIGGER %I', r.name,\n"
	    "    CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END, t.tgname)\n"
	    "FROM rels r JOIN pg_trigger t ON t.tgrelid = r.oid\n"
	    "WHERE NOT t.tgisinternal AND t.tgenabled IN ('A', 'R')\n"
	    "UNION ALL SELECT format('ALTER TABLE %s DISABLE RULE %I', r.name, w.rulename),\n"
	    "  format('ALTER TABLE %s ENABLE %s RULE %I', r.name,\n"
	    "    CASE w.ev_enabled WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END, w.rulename)\n"
	    "FROM rels r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE w.ev_enabled IN ('A', 'R')";
	const char *params[] = {t->schema, t->name};
	const struct pg_query q = {
	    .doing = "look for triggers", .sql = sql, .n = 2, .params = params};
	struct switches both = {NULL, NULL};
	size_t len[2];
	cow_errno r;

	both.off = open_memstream(ret_off, &len[0]);
	both.on = open_memstream(ret_on, &len[1]);
	r = both.off && both.on ? pg_rows(s, &q, one_switch, &both, e) : -ENOMEM;
	if (both.off)
		fclose(both.off);
	if (both.on)
		fclose(both.on);
	return r;
}

/* --- running them --- */

/* What the server says, with the column or constraint it is about. */
static cow_errno mask_failed(const struct pg_mask_table *t, const PGresult *res, bool connected,
			     struct cow_error *e)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *constraint = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
	const char *said = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	int len;

	if (!said)
		said = "the connection is gone";
	/* The detail and the context would show values; so does what a conversion complains of
	 * (class 22), and what a function of the user raises. */
	if (state && strcmp(state, "P0001") == 0)
		said = "a function raised an exception";
	len = (int)(state && strncmp(state, "22", 2) == 0 ? strcspn(said, "\"") : strlen(said));
	cow_fail(e, -EIO, "mask %s.%s: %.*s%s", t->schema, t->name, len, said,
		 said[len] ? "..." : "");
	if (state && strcmp(state, "23505") == 0) {
		cow_fail(e, -EEXIST, "mask %s.%s: two fakes are equal, but %s wants them unique",
			 t->schema, t->name, constraint ? constraint : "an index");
		return cow_hint(e, -EEXIST,
				"Choose a rule with more room, like hash, shape or email.");
	}
	if (state && strcmp(state, "22001") == 0)
		return cow_hint(e, -EIO,
				"A fake is longer than its column; hash and shape fit any.");
	return connected ? -EIO : -ECONNRESET;
}

static cow_errno run_masking(struct pg_session *s, const struct pg_mask_table *t, const char *sql,
			     uint64_t *ret_rows, struct cow_error *e)
{
	cow_errno r = 0;
	PGresult *res;

	if (!PQsendQuery(s->c, sql))
		return pg_said(e, -ECONNRESET, "mask", PQerrorMessage(s->c));
	/* The last statement is the one that writes. */
	while ((res = PQgetResult(s->c))) {
		if (PQresultStatus(res) == PGRES_COMMAND_OK)
			*ret_rows = strtoull(PQcmdTuples(res), NULL, 10);
		else if (r == 0)
			r = mask_failed(t, res, PQstatus(s->c) == CONNECTION_OK, e);
		PQclear(res);
	}
	return r;
}

static char *delete_sql(const struct pg_mask_table *t)
{
	char *sql = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&sql, &len);

	if (!f)
		return NULL;
	fputs("DELETE FROM ", f);
	put_table(f, t);
	return fclose(f) == 0 ? sql : NULL;
}

static cow_errno note_row(void *arg, const char *const *v)
{
	*(bool *)arg = true;
	return 0;
}

/* Nothing is believed: whatever kept a row, it would be published. */
static cow_errno is_empty(struct pg_session *s, const struct pg_mask_table *t, struct cow_error *e)
{
	CLEANUP_FREE char *sql = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&sql, &len);
	bool any = false;
	cow_errno r;

	if (!f)
		return cow_fail(e, -ENOMEM, "no memory to empty %s", t->name);
	fputs("SELECT 1 FROM ", f);
	put_table(f, t);
	fputs(" LIMIT 1", f);
	r = fclose(f) == 0 ? 0 : cow_fail(e, -ENOMEM, "no memory to empty %s", t->name);
	if (r == 0)
		r = pg_rows(s, &(struct pg_query){.doing = "look for rows", .sql = sql}, note_row,
			    &any, e);
	if (r == 0 && any)
		r = cow_fail(e, -EPERM, "rows of %s.%s cannot be deleted, and it is to be EMPTY",
			     t->schema, t->name);
	return r;
}

/* With what fires for a replica switched off; in one transaction. */
static cow_errno run_switched(struct pg_session *s, const struct pg_mask_table *t, const char *sql,
			      bool empty, uint64_t *ret_rows, struct cow_error *e)
{
	CLEANUP_FREE char *off = NULL, *on = NULL;
	struct cow_error ignored = COW_ERROR_INIT;
	cow_errno r = sql ? find_switches(s, t, &off, &on, e)
			  : cow_fail(e, -ENOMEM, "no memory to mask %s", t->name);

	*ret_rows = 0;
	if (r == 0)
		r = pg_run(s, "begin", "BEGIN", e);
	if (r == 0 && *off)
		r = pg_run(s, "switch triggers off", off, e);
	if (r == 0)
		r = run_masking(s, t, sql, ret_rows, e);
	if (r == 0 && empty)
		r = is_empty(s, t, e);
	if (r == 0 && *on)
		r = pg_run(s, "switch triggers on", on, e);
	if (r == 0)
		return pg_run(s, "commit", "COMMIT", e);
	pg_run(s, "roll back", "ROLLBACK", &ignored);
	return r;
}

cow_errno cow_pg_mask_table(struct pg_session *s, const struct pg_mask_table *t, uint64_t *ret_rows,
			    struct cow_error *e)
{
	CLEANUP_FREE char *sql = t->replace ? replace_sql(t) : update_sql(t);

	return run_switched(s, t, sql, false, ret_rows, e);
}

cow_errno cow_pg_empty_table(struct pg_session *s, const char *schema, const char *name,
			     uint64_t *ret_rows, struct cow_error *e)
{
	const struct pg_mask_table t = {.schema = schema, .name = name};
	CLEANUP_FREE char *sql = delete_sql(&t);

	return run_switched(s, &t, sql, true, ret_rows, e);
}

cow_errno cow_pg_empty_large_objects(struct pg_session *s, struct cow_error *e)
{
	return pg_run(s, "remove the large objects",
		      "SELECT lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata", e);
}

/* --- preview --- */

struct previewing {
	size_t n;
	cow_errno (*each)(void *arg, const char *const *before, const char *const *after);
	void *arg;
};

static cow_errno one_preview(void *arg, const char *const *v)
{
	struct previewing *p = arg;

	return p->each(p->arg, v, v + p->n);
}

cow_errno cow_pg_mask_preview(struct pg_session *s, const struct pg_mask_table *t, unsigned rows,
			      cow_errno (*each)(void *arg, const char *const *before,
						const char *const *after),
			      void *arg, struct cow_error *e)
{
	CLEANUP_FREE char *sql = preview_sql(t, rows);
	const struct pg_query q = {.doing = "preview", .sql = sql};
	struct previewing p = {t->n, each, arg};

	if (!sql)
		return cow_fail(e, -ENOMEM, "no memory for a preview");
	return pg_rows(s, &q, one_preview, &p, e);
}
