// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libpq-fe.h>

#include "store/cleanup.h"

#define CONNECT_TIMEOUT "10" /* seconds */

static void finish(PGconn **c)
{
	PQfinish(*c);
}

static void clear(PGresult **r)
{
	PQclear(*r);
}

/* Parameters as libpq takes them; `port` is written to by the call. */
#define ADDRESS(at, port_text)                                                                     \
	(const char *const[]){                                                                     \
	    "host", "port", "user", "dbname", "connect_timeout", "application_name", NULL},        \
	    (const char *const[])                                                                  \
	{                                                                                          \
		(at)->host, port_text, (at)->user, (at)->dbname, CONNECT_TIMEOUT, "cowfs", NULL    \
	}

enum pg_answer cow_pg_ping(const struct pg_address *at)
{
	char port[16];

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

/* The first line of what the server or libpq said. */
static cow_errno said(struct cow_error *e, cow_errno r, const char *doing, const char *message)
{
	return cow_fail(e, r, "%s: %.*s", doing, (int)strcspn(message, "\n"), message);
}

static cow_errno dial(const struct pg_address *at, PGconn **ret, struct cow_error *e)
{
	char port[16];

	snprintf(port, sizeof(port), "%d", at->port);
	*ret = PQconnectdbParams(ADDRESS(at, port), 0);
	if (!*ret)
		return cow_fail(e, -ENOMEM, "no memory for a connection");
	if (PQstatus(*ret) != CONNECTION_OK)
		return said(e, -ECONNREFUSED, "cannot connect to the server", PQerrorMessage(*ret));
	return 0;
}

cow_errno cow_pg_checkpoint(const struct pg_address *at, struct cow_error *e)
{
	CLEANUP(finish) PGconn *c = NULL;
	CLEANUP(clear) PGresult *res = NULL;
	cow_errno r = dial(at, &c, e);

	if (r < 0)
		return r;
	res = PQexec(c, "CHECKPOINT");
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		return said(e, -EPERM, "checkpoint", PQresultErrorMessage(res));
	return 0;
}

cow_errno cow_pg_check_snapshot_safe(const struct pg_address *at, struct cow_error *e)
{
	CLEANUP(finish) PGconn *c = NULL;
	CLEANUP(clear) PGresult *res = NULL;
	cow_errno r = dial(at, &c, e);

	if (r < 0)
		return r;
	res = PQexec(c, "SELECT name FROM pg_catalog.pg_settings WHERE setting = 'off' AND name IN "
			"('fsync', 'full_page_writes') ORDER BY name LIMIT 1");
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		return said(e, -EPERM, "read the settings", PQresultErrorMessage(res));
	if (PQntuples(res) == 0)
		return 0;
	cow_fail(e, -EPERM,
		 "the server runs with %s=off: the point might not survive crash recovery",
		 PQgetvalue(res, 0, 0));
	return cow_hint(e, -EPERM, "Stop the server first, or set %s=on.", PQgetvalue(res, 0, 0));
}
