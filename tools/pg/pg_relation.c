// SPDX-License-Identifier: Apache-2.0
/* pg_relation: what the relation of a file is called. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "store/cleanup.h"
#include "tools/pg/pg_impl.h"
#include "tools/pg/pgrelation.h"

struct answer {
	char *text;
	size_t size;
	bool found;
};

static cow_errno take(void *arg, const char *const *values)
{
	struct answer *a = arg;

	snprintf(a->text, a->size, "%s", values[0]);
	a->found = true;
	return 0;
}

/* One row of one column, or -ENOENT. */
static cow_errno ask(PGconn *c, const struct pg_query *q, char *ret, size_t size,
		     struct cow_error *e)
{
	struct pg_session s = {c};
	struct answer a = {ret, size, false};
	cow_errno r = pg_rows(&s, q, take, &a, e);

	return r < 0 || a.found ? r : cow_fail(e, -ENOENT, "no relation has this file");
}

cow_errno cow_pg_relation_name(const struct pg_address *at, const struct pgrelation *f, char *ret,
			       size_t size, struct cow_error *e)
{
	char database[12], tablespace[12], filenode[12], name[256] = "";
	const char *const which[] = {database}, *const file[] = {tablespace, filenode, name};
	const struct pg_query find = {.doing = "find the database",
				      .sql = "SELECT datname FROM pg_database WHERE oid = $1",
				      .n = 1,
				      .params = which};
	/* Without quotes where none are needed, as everywhere in its own messages. */
	const struct pg_query relation = {
	    .doing = "find the relation",
	    .sql =
		"SELECT CASE c.relkind WHEN 'i' THEN 'index ' WHEN 'S' THEN 'sequence ' WHEN 'm' "
		"  THEN 'materialized view ' WHEN 't' THEN 'TOAST ' ELSE '' END "
		"|| format('%I.%I', n.nspname, c.relname) "
		"|| CASE WHEN t.oid IS NULL THEN '' ELSE "
		"  format(' (of %I.%I)', tn.nspname, t.relname) END "
		"|| CASE WHEN $3 = '' THEN '' ELSE format(' in %I', $3) END "
		"FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
		"LEFT JOIN pg_index i ON i.indexrelid = c.oid "
		"LEFT JOIN pg_class o ON o.reltoastrelid <> 0 AND o.reltoastrelid = "
		"  CASE WHEN n.nspname = 'pg_toast' THEN coalesce(i.indrelid, c.oid) END "
		"LEFT JOIN pg_class t ON t.oid = coalesce(o.oid, i.indrelid) "
		"LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace "
		"WHERE c.oid = pg_filenode_relation($1::oid, $2::oid)",
	    .n = 3,
	    .params = file};
	CLEANUP(pg_finish) PGconn *c = NULL;
	cow_errno r = pg_dial_shared(at, &c, e);

	snprintf(database, sizeof(database), "%" PRIu32, f->database);
	/* 1664 is pg_global. */
	snprintf(tablespace, sizeof(tablespace), "%" PRIu32, f->database ? f->tablespace : 1664);
	snprintf(filenode, sizeof(filenode), "%" PRIu32, f->filenode);
	if (r == 0 && f->database && (r = ask(c, &find, name, sizeof(name), e)) == 0) {
		PGconn *in = NULL;

		pg_finish(&c);
		c = NULL;
		r = pg_dial_plain(at, name, &in, e);
		c = in;
	}
	return r < 0 ? r : ask(c, &relation, ret, size, e);
}
