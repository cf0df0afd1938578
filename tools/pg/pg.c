// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "tools/pg/pg_impl.h"

#define CONNECT_TIMEOUT "10" /* seconds */

void pg_finish(PGconn **c)
{
	if (*c)
		PQfinish(*c);
}

void pg_clear(PGresult **r)
{
	if (*r)
		PQclear(*r);
}

/* Who owns a database chooses its search_path, and with it whose functions we, who are superusers,
 * would run: names mean those of the system. */
#define NAMES_OF_THE_SYSTEM "-c search_path=pg_catalog"

/* Parameters as libpq takes them; `port` is written to by the call. */
#define ADDRESS(at, port_text)                                                                     \
	(const char *const[]){                                                                     \
	    "host",    "port", "user", "dbname", "connect_timeout", "application_name",            \
	    "options", NULL},                                                                      \
	    (const char *const[])                                                                  \
	{                                                                                          \
		(at)->host, port_text, (at)->user, (at)->dbname, CONNECT_TIMEOUT, "cowfs",         \
		    NAMES_OF_THE_SYSTEM, NULL                                                      \
	}

cow_errno cow_pg_ready(struct cow_error *e)
{
	return cow_pq_load(e);
}

enum pg_answer cow_pg_ping(const struct pg_address *at)
{
	struct cow_error e = {0};
	char port[16];

	if (cow_pq_load(&e) < 0) {
		cow_log_error("%s", e.text);
		return PG_ANSWER_NONE;
	}
	snprintf(port, sizeof(port), "%d", at->port);
	switch (PQpingParams(ADDRESS(at, port), 0)) {
	case PQPING_OK:
		return PG_ANSWER_OK;
	case PQPING_REJECT:
		return PG_ANSWER_NOT_YET;
	case PQPING_NO_RESPONSE:
	case PQPING_NO_ATTEMPT:
		break;
	}
	return PG_ANSWER_NONE;
}

cow_errno pg_said(struct cow_error *e, cow_errno r, const char *doing, const char *message)
{
	return cow_fail(e, r, "%s: %.*s", doing, (int)strcspn(message, "\n"), message);
}

cow_errno pg_dial(const struct pg_address *at, PGconn **ret, struct cow_error *e)
{
	char port[16];
	cow_errno r = cow_pq_load(e);

	*ret = NULL;
	if (r < 0)
		return r;
	snprintf(port, sizeof(port), "%d", at->port);
	/* The first dbname may be a whole connection string, a later one names the database. */
	*ret =
	    at->url
		? PQconnectdbParams(
		      (const char *const[]){"dbname", "connect_timeout", "application_name",
					    at->dbname ? "dbname" : NULL, NULL},
		      (const char *const[]){at->url, CONNECT_TIMEOUT, "cowfs", at->dbname, NULL}, 1)
		: PQconnectdbParams(ADDRESS(at, port), 0);
	if (!*ret)
		return cow_fail(e, -ENOMEM, "no memory for a connection");
	if (PQstatus(*ret) != CONNECTION_OK)
		return pg_said(e, -ECONNREFUSED, "cannot connect to the server",
			       PQerrorMessage(*ret));
	return 0;
}

cow_errno cow_pg_checkpoint(const struct pg_address *at, struct cow_error *e)
{
	CLEANUP(pg_finish) PGconn *c = NULL;
	CLEANUP(pg_clear) PGresult *res = NULL;
	cow_errno r = pg_dial(at, &c, e);

	if (r < 0)
		return r;
	res = PQexec(c, "CHECKPOINT");
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		return pg_said(e, -EPERM, "checkpoint", PQresultErrorMessage(res));
	return 0;
}

cow_errno cow_pg_check_snapshot_safe(const struct pg_address *at, struct cow_error *e)
{
	CLEANUP(pg_finish) PGconn *c = NULL;
	CLEANUP(pg_clear) PGresult *res = NULL;
	cow_errno r = pg_dial(at, &c, e);

	if (r < 0)
		return r;
	res = PQexec(c, "SELECT name FROM pg_catalog.pg_settings WHERE setting = 'off' AND name IN "
			"('fsync', 'full_page_writes') ORDER BY name LIMIT 1");
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		return pg_said(e, -EPERM, "read the settings", PQresultErrorMessage(res));
	if (PQntuples(res) == 0)
		return 0;
	cow_fail(e, -EPERM,
		 "the server runs with %s=off: the point might not survive crash recovery",
		 PQgetvalue(res, 0, 0));
	return cow_hint(e, -EPERM, "Stop the server first, or set %s=on.", PQgetvalue(res, 0, 0));
}

cow_errno cow_pg_idle_ms(const struct pg_address *at, uint64_t *ret, struct cow_error *e)
{
	CLEANUP(pg_finish) PGconn *c = NULL;
	CLEANUP(pg_clear) PGresult *res = NULL;
	cow_errno r = pg_dial(at, &c, e);

	if (r < 0)
		return r;
	/* A state that is not known (track_activities off) counts as activity. */
	res = PQexec(c, "SELECT coalesce(min(CASE WHEN state = 'idle' THEN greatest(0, "
			"extract(epoch FROM clock_timestamp() - state_change) * 1000) "
			"ELSE 0 END), 1e15)::bigint FROM pg_catalog.pg_stat_activity WHERE "
			"backend_type IN ('client backend', 'walsender') AND pid <> "
			"pg_catalog.pg_backend_pid()");
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		return pg_said(e, -EPERM, "look at the sessions", PQresultErrorMessage(res));
	*ret = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
	return 0;
}

/* --- sessions --- */

cow_errno cow_pg_open(const struct pg_address *at, struct pg_session **ret, struct cow_error *e)
{
	struct pg_session *s = calloc(1, sizeof(*s));
	cow_errno r;

	if (!s)
		return cow_fail(e, -ENOMEM, "no memory for a connection");
	r = pg_dial(at, &s->c, e);
	if (r < 0) {
		cow_pg_close(s);
		return r;
	}
	/* Notices are for people at a prompt. */
	PQsetErrorVerbosity(s->c, PQERRORS_TERSE);
	PQsetNoticeReceiver(s->c, pg_no_notice, NULL);
	*ret = s;
	return 0;
}

void cow_pg_close(struct pg_session *s)
{
	if (s)
		PQfinish(s->c);
	free(s);
}

void pg_no_notice(void *arg, const PGresult *res)
{
}

cow_errno pg_rows(struct pg_session *s, const struct pg_query *q, pg_row_fn *each, void *arg,
		  struct cow_error *e)
{
	CLEANUP(pg_clear) PGresult *res = NULL;
	const char *values[PG_COLUMNS_MAX];
	cow_errno r = 0;
	int n;

	res = PQexecParams(s->c, q->sql, q->n, NULL, q->params, NULL, NULL, 0);
	if (PQresultStatus(res) != PGRES_TUPLES_OK && PQresultStatus(res) != PGRES_COMMAND_OK)
		return pg_said(e, PQstatus(s->c) == CONNECTION_OK ? -EIO : -ECONNRESET, q->doing,
			       PQresultErrorMessage(res));
	n = COW_MIN(PQnfields(res), PG_COLUMNS_MAX);
	for (int k = 0; each && r == 0 && k < PQntuples(res); k++) {
		for (int f = 0; f < n; f++)
			values[f] = PQgetisnull(res, k, f) ? NULL : PQgetvalue(res, k, f);
		r = each(arg, values);
	}
	return r == -ENOMEM ? cow_fail(e, r, "%s: no memory", q->doing) : r;
}

cow_errno pg_run(struct pg_session *s, const char *doing, const char *sql, struct cow_error *e)
{
	CLEANUP(pg_clear) PGresult *res = PQexec(s->c, sql);

	if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
		return pg_said(e, PQstatus(s->c) == CONNECTION_OK ? -EIO : -ECONNRESET, doing,
			       PQresultErrorMessage(res));
	return 0;
}
