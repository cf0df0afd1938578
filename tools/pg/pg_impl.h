// SPDX-License-Identifier: Apache-2.0
/* pg_impl: what the files of the libpq fence share (pg*.c). Nobody else includes it: what is asked
 * of a database is a named function in one of their headers. */
#pragma once
#include "tools/pg/pg.h"
#include "tools/pg/pq.h"

#define PG_COLUMNS_MAX 1664 /* as many as a SELECT of PostgreSQL can have */

struct pg_session {
	PGconn *c;
};

/* One statement with parameters as text (NULL = null). */
struct pg_query {
	const char *doing; /* begins the error: "list the columns" */
	const char *sql;
	int n;
	const char *const *params;
};

/* A row; values[k] NULL = null, borrowed for the call. Not 0 ends and is returned. */
typedef cow_errno pg_row_fn(void *arg, const char *const *values);

/* `each` NULL: rows are not looked at. -EIO what the server said, -ECONNRESET the connection is
 * gone. */
cow_errno pg_rows(struct pg_session *s, const struct pg_query *q, pg_row_fn *each, void *arg,
		  struct cow_error *e);

/* Several statements without parameters, as one transaction unless they say otherwise. */
cow_errno pg_run(struct pg_session *s, const char *doing, const char *sql, struct cow_error *e);

cow_errno pg_dial(const struct pg_address *at, PGconn **ret, struct cow_error *e);
/* The same as a superuser whom no setting of role or database gets in the way of: search_path is
 * pg_catalog alone. `dbname` is a name, that of `at` is ignored. */
cow_errno pg_dial_plain(const struct pg_address *at, const char *dbname, PGconn **ret,
			struct cow_error *e);
/* ... in some database: for what all share. */
cow_errno pg_dial_shared(const struct pg_address *at, PGconn **ret, struct cow_error *e);
/* The first line of what the server or libpq said. */
cow_errno pg_said(struct cow_error *e, cow_errno r, const char *doing, const char *message);
void pg_no_notice(void *arg, const PGresult *res);
void pg_finish(PGconn **c); /* for CLEANUP */
void pg_clear(PGresult **r);
