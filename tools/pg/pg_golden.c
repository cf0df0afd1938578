// SPDX-License-Identifier: Apache-2.0
/* What is in a database: columns with what decides about them, keys, labels, samples. */
#include "tools/pg/pg_golden.h"

#include <errno.h>
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

	return t->each(t->arg, v[0]);
}

cow_errno cow_pg_databases(struct pg_session *s, cow_errno (*each)(void *arg, const char *name),
			   void *arg, struct cow_error *e)
{
	static const struct pg_query q = {
	    .doing = "list the databases",
	    .sql = "SELECT datname FROM pg_catalog.pg_database "
		   "WHERE datallowconn AND NOT datistemplate ORDER BY datname"};
	struct texts t = {each, arg};

	return pg_rows(s, &q, one_text, &t, e);
}

cow_errno cow_pg_prepared_databases(struct pg_session *s,
				    cow_errno (*each)(void *arg, const char *name), void *arg,
				    struct cow_error *e)
{
	static const struct pg_query q = {
	    .doing = "look for prepared transactions",
	    .sql = "SELECT DISTINCT database FROM pg_catalog.pg_prepared_xacts"};
	struct texts t = {each, arg};

	return pg_rows(s, &q, one_text, &t, e);
}

struct rolling {
	struct pg_session *s;
	unsigned *count;
	struct cow_error *e;
};

static cow_errno roll_back(void *arg, const char *statement)
{
	struct rolling *r = arg;

	++*r->count;
	return pg_run(r->s, "roll a prepared transaction back", statement, r->e);
}

cow_errno cow_pg_rollback_prepared(struct pg_session *s, unsigned *count, struct cow_error *e)
{
	static const struct pg_query q = {
	    .doing = "list prepared transactions",
	    .sql = "SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_catalog.pg_prepared_xacts "
		   "WHERE database = current_database()"};
	struct rolling rolling = {s, count, e};
	struct texts t = {roll_back, &rolling};

	return pg_rows(s, &q, one_text, &t, e);
}

int cow_pg_major(struct pg_session *s)
{
	return PQserverVersion(s->c) / 10000;
}

struct places {
	cow_errno (*each)(void *arg, uint32_t oid, const char *location);
	void *arg;
};

static cow_errno one_place(void *arg, const char *const *v)
{
	struct places *p = arg;

	return p->each(p->arg, (uint32_t)strtoul(v[0], NULL, 10), v[1]);
}

cow_errno cow_pg_tablespaces(struct pg_session *s,
			     cow_errno (*each)(void *arg, uint32_t oid, const char *location),
			     void *arg, struct cow_error *e)
{
	static const struct pg_query q = {
	    .doing = "list the tablespaces",
	    .sql = "SELECT oid, pg_tablespace_location(oid) FROM pg_catalog.pg_tablespace "
		   "WHERE pg_tablespace_location(oid) LIKE '/%'"};
	struct places p = {each, arg};

	return pg_rows(s, &q, one_place, &p, e);
}

/* --- columns --- */

static const char columns_sql[] =
    "SELECT n.nspname, c.relname, a.attname, c.oid, c.relkind,\n"
    "  greatest(c.reltuples, 0)::bigint,\n"
    "  CASE c.relkind WHEN 'r' THEN pg_total_relation_size(c.oid) ELSE 0 END,\n"
    "  a.attnum, format_type(a.atttypid, a.atttypmod), el.typname, el.typtype, b.elem <> 0,\n"
    "  CASE WHEN el.typname IN ('varchar', 'bpchar') AND b.typmod > 4 THEN b.typmod - 4 ELSE 0 "
    "END,\n"
    "  a.attnotnull, a.attgenerated <> '',\n"
    "  a.attidentity = 'a' OR EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND "
    "(x.indisunique OR "
    "x.indisexclusion)\n"
    "    AND (a.attnum = ANY (x.indkey) OR x.indexprs IS NOT NULL)),\n"
    "  EXISTS (SELECT FROM pg_partition_ancestors(c.oid) p JOIN pg_partitioned_table t ON "
    "t.partrelid = p.relid\n"
    "    LEFT JOIN pg_attribute k ON k.attrelid = p.relid AND k.attnum = ANY (t.partattrs)\n"
    "    WHERE k.attname = a.attname OR t.partexprs IS NOT NULL),\n"
    "  rn.nspname, rc.relname, up.names\n"
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace\n"
    "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
    "LEFT JOIN pg_class rc ON c.relispartition AND rc.oid = pg_partition_root(c.oid)\n"
    "LEFT JOIN pg_namespace rn ON rn.oid = rc.relnamespace\n"
    /* Through domains (each may carry its own length) to a base type, and to its elements. */
    "CROSS JOIN LATERAL (WITH RECURSIVE d AS (\n"
    "    SELECT t.oid, t.typtype, t.typbasetype, a.atttypmod AS typmod, t.typtypmod\n"
    "    FROM pg_type t WHERE t.oid = a.atttypid\n"
    "  UNION ALL\n"
    "    SELECT t.oid, t.typtype, t.typbasetype,\n"
    "      CASE WHEN d.typtypmod > 0 THEN d.typtypmod ELSE d.typmod END, t.typtypmod\n"
    "    FROM d JOIN pg_type t ON t.oid = d.typbasetype WHERE d.typtype = 'd')\n"
    "  SELECT d.oid, d.typmod, CASE t.typcategory WHEN 'A' THEN t.typelem ELSE 0 END AS elem\n"
    "  FROM d JOIN pg_type t ON t.oid = d.oid WHERE d.typtype <> 'd') b\n"
    "CROSS JOIN LATERAL (WITH RECURSIVE d AS (\n"
    "    SELECT t.typname, t.typtype, t.typbasetype\n"
    "    FROM pg_type t WHERE t.oid = CASE WHEN b.elem <> 0 THEN b.elem ELSE b.oid END\n"
    "  UNION ALL\n"
    "    SELECT t.typname, t.typtype, t.typbasetype\n"
    "    FROM d JOIN pg_type t ON t.oid = d.typbasetype WHERE d.typtype = 'd')\n"
    "  SELECT d.typname, d.typtype FROM d WHERE d.typtype <> 'd') el\n"
    "CROSS JOIN LATERAL (WITH RECURSIVE u AS (\n"
    "    SELECT i.inhparent, 1 AS level FROM pg_inherits i\n"
    "    WHERE i.inhrelid = c.oid AND a.attinhcount > 0\n"
    "  UNION ALL\n"
    "    SELECT i.inhparent, u.level + 1 FROM u JOIN pg_inherits i ON i.inhrelid = u.inhparent)\n"
    "  SELECT json_agg(json_build_array(pn.nspname, pc.relname) ORDER BY u.level) AS names\n"
    "  FROM u JOIN pg_class pc ON pc.oid = u.inhparent\n"
    "  JOIN pg_namespace pn ON pn.oid = pc.relnamespace) up\n"
    "WHERE c.relkind IN ('r', 'f') AND c.relpersistence <> 't'\n"
    "AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'cowfs_mask')\n"
    /* Tables of an extension come with it, except for those it asked to have dumped. */
    "AND NOT EXISTS (SELECT FROM pg_depend dep JOIN pg_extension x ON x.oid = dep.refobjid\n"
    "  WHERE dep.classid = 'pg_class'::regclass AND dep.objid = c.oid AND dep.deptype = 'e'\n"
    "  AND dep.refclassid = 'pg_extension'::regclass\n"
    "  AND c.oid <> ALL (coalesce(x.extconfig, '{}'::oid[])))\n"
    "ORDER BY n.nspname, c.relname, a.attnum";

struct columns {
	cow_errno (*each)(void *arg, const struct pg_column *c);
	void *arg;
};

static bool yes(const char *value)
{
	return value && value[0] == 't';
}

static cow_errno one_column(void *arg, const char *const *v)
{
	struct columns *all = arg;
	const struct pg_column c = {
	    .schema = v[0],
	    .table = v[1],
	    .column = v[2],
	    .oid = (uint32_t)strtoul(v[3], NULL, 10),
	    .kind = v[4][0],
	    .rows = strtoull(v[5], NULL, 10),
	    .bytes = strtoull(v[6], NULL, 10),
	    .number = (int)strtol(v[7], NULL, 10),
	    .type = v[8],
	    .base = v[9],
	    .base_kind = v[10][0],
	    .array = yes(v[11]),
	    .length = (int)strtol(v[12], NULL, 10),
	    .not_null = yes(v[13]),
	    .generated = yes(v[14]),
	    .unique = yes(v[15]),
	    .partition_key = yes(v[16]),
	    .root_schema = v[17],
	    .root_table = v[18],
	    .ancestors = v[19],
	};

	return all->each(all->arg, &c);
}

cow_errno cow_pg_columns(struct pg_session *s,
			 cow_errno (*each)(void *arg, const struct pg_column *c), void *arg,
			 struct cow_error *e)
{
	static const struct pg_query q = {.doing = "list the columns", .sql = columns_sql};
	struct columns all = {each, arg};
	/* So that every type outside the system is named with its schema. */
	cow_errno r = pg_run(s, "set the search path", "SET search_path = pg_catalog", e);

	return r < 0 ? r : pg_rows(s, &q, one_column, &all, e);
}

/* --- foreign keys --- */

struct keys {
	cow_errno (*each)(void *arg, const struct pg_foreign_key *k);
	void *arg;
};

static cow_errno one_key(void *arg, const char *const *v)
{
	struct keys *all = arg;
	const struct pg_foreign_key k = {v[0], v[1], v[2], v[3], v[4], v[5], v[6]};

	return all->each(all->arg, &k);
}

cow_errno cow_pg_foreign_keys(struct pg_session *s,
			      cow_errno (*each)(void *arg, const struct pg_foreign_key *k),
			      void *arg, struct cow_error *e)
{
	/* Those of partitions follow from the one of their root. */
	static const struct pg_query q = {
	    .doing = "list the foreign keys",
	    .sql = "SELECT k.conname, n.nspname, c.relname, a.attname, fn.nspname, f.relname, "
		   "fa.attname\n"
		   "FROM pg_constraint k\n"
		   "CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS p(here, there)\n"
		   "JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = "
		   "c.relnamespace\n"
		   "JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = "
		   "f.relnamespace\n"
		   "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.here\n"
		   "JOIN pg_attribute fa ON fa.attrelid = f.oid AND fa.attnum = p.there\n"
		   "WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY 2, 3, 1"};
	struct keys all = {each, arg};

	return pg_rows(s, &q, one_key, &all, e);
}

/* --- labels, large objects, samples --- */

struct labels {
	cow_errno (*each)(void *arg, const char *schema, const char *table, const char *column,
			  const char *label);
	void *arg;
};

static cow_errno one_label(void *arg, const char *const *v)
{
	struct labels *all = arg;

	return all->each(all->arg, v[0], v[1], v[2], v[3]);
}

cow_errno cow_pg_anon_labels(struct pg_session *s,
			     cow_errno (*each)(void *arg, const char *schema, const char *table,
					       const char *column, const char *label),
			     void *arg, struct cow_error *e)
{
	/* From the catalog: the library of the provider need not be here. */
	static const struct pg_query q = {
	    .doing = "read the security labels",
	    .sql = "SELECT n.nspname, c.relname, a.attname, l.label FROM pg_catalog.pg_seclabel l\n"
		   "JOIN pg_class c ON c.oid = l.objoid JOIN pg_namespace n ON n.oid = "
		   "c.relnamespace\n"
		   "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = l.objsubid\n"
		   "WHERE l.classoid = 'pg_class'::regclass AND l.objsubid > 0 AND l.provider = "
		   "'anon'\n"
		   "ORDER BY 1, 2, a.attnum"};
	struct labels all = {each, arg};

	return pg_rows(s, &q, one_label, &all, e);
}

static cow_errno one_number(void *arg, const char *const *v)
{
	*(uint64_t *)arg = strtoull(v[0], NULL, 10);
	return 0;
}

cow_errno cow_pg_count_large_objects(struct pg_session *s, uint64_t *ret, struct cow_error *e)
{
	static const struct pg_query q = {
	    .doing = "count the large objects",
	    .sql = "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata"};

	return pg_rows(s, &q, one_number, ret, e);
}

static void free_pq(char **p)
{
	PQfreemem(*p);
}
#define CLEANUP_PQ CLEANUP(free_pq)

cow_errno cow_pg_sample(struct pg_session *s, const char *schema, const char *table,
			const char *column, unsigned most,
			cow_errno (*each)(void *arg, const char *value), void *arg,
			struct cow_error *e)
{
	CLEANUP_PQ char *n = PQescapeIdentifier(s->c, schema, strlen(schema));
	CLEANUP_PQ char *t = PQescapeIdentifier(s->c, table, strlen(table));
	CLEANUP_PQ char *c = PQescapeIdentifier(s->c, column, strlen(column));
	CLEANUP_FREE char *sql = NULL;
	struct pg_query q = {.doing = "sample a column"};
	struct texts all = {each, arg};

	if (!n || !t || !c ||
	    asprintf(&sql,
		     "SELECT left(%s::text, 200) FROM ONLY %s.%s WHERE %s IS DISTINCT FROM NULL "
		     "LIMIT %u",
		     c, n, t, c, most) < 0)
		return cow_fail(e, -ENOMEM, "no memory to sample a column");
	q.sql = sql;
	return pg_rows(s, &q, one_text, &all, e);
}
