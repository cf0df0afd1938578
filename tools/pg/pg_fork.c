// SPDX-License-Identifier: Apache-2.0
/* pg_fork: what is changed in the catalogs of a fork, so that it reaches nobody (pgfirst.h). Who
 * gets into it: pg_roles.c. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/pg/pg_impl.h"

#define CONNECT_TIMEOUT "10" /* seconds */

/* --- what a fork must lose --- */

/* Settings of the role or the database must not get in the way of what we do. */
#define PLAIN                                                                                      \
	"-c search_path=pg_catalog -c default_transaction_read_only=off -c statement_timeout=0 "   \
	"-c lock_timeout=30s -c log_statement=none -c log_min_duration_statement=-1"

/* Catalogs are changed as tables, which a superuser may: the commands differ from version to
 * version, want a connection to the database of each subscription, and some of them would call the
 * publisher. An address that leads nowhere stays, because DROP SUBSCRIPTION calls the publisher
 * even without a slot while tables are being synchronised. */
static const char disable_subscriptions[] =
    "UPDATE pg_subscription SET subenabled = false, subslotname = NULL, "
    "subconninfo = 'host=/disabled/by/cowfs user=none password=none dbname=none' "
    "WHERE subenabled OR subslotname IS NOT NULL OR subconninfo NOT LIKE 'host=/disabled/by/cowfs "
    "%'";

/* NAME=VALUE whose name sounds like a secret. Of every wrapper: each has names of its own. */
#define SECRET "'^[^=]*(pass|pwd|secret|token|key|cert|cred|service)[^=]*='"
/* keep_connections, keepalives and the like hold no "key". */
static const char forget_mappings[] =
    "UPDATE pg_user_mapping SET umoptions = "
    "(SELECT array_agg(o) FROM unnest(umoptions) o WHERE o !~* " SECRET ") "
    "WHERE EXISTS (SELECT FROM unnest(umoptions) o WHERE o ~* " SECRET ")";
static const char forget_servers[] =
    "UPDATE pg_foreign_server SET srvoptions = "
    "(SELECT array_agg(o) FROM unnest(srvoptions) o WHERE o !~* " SECRET ") "
    "WHERE EXISTS (SELECT FROM unnest(srvoptions) o WHERE o ~* " SECRET ")";
/* Databases with foreign servers; in other tablespaces the file is not looked for. */
static const char databases[] =
    "SELECT datname FROM pg_database WHERE datallowconn AND (dattablespace <> 1663 OR coalesce("
    "(pg_stat_file('base/' || oid || '/1417', true)).size, 1) > 0)";

cow_errno pg_dial_plain(const struct pg_address *at, const char *dbname, PGconn **ret,
			struct cow_error *e)
{
	static const char *const names[] = {"host",
					    "port",
					    "user",
					    "dbname",
					    "connect_timeout",
					    "application_name",
					    "options",
					    "client_encoding",
					    NULL};
	char port[16];
	const char *const values[] = {at->host, port,  at->user, dbname, CONNECT_TIMEOUT,
				      "cowfs",  PLAIN, "UTF8",   NULL};

	cow_errno r = cow_pq_load(e);

	*ret = NULL;
	if (r < 0)
		return r;
	snprintf(port, sizeof(port), "%d", at->port);
	/* A database name is a name, not a connection string: expand_dbname is 0. */
	*ret = PQconnectdbParams(names, values, 0);
	if (!*ret)
		return cow_fail(e, -ENOMEM, "no memory for a connection");
	if (PQstatus(*ret) != CONNECTION_OK)
		return pg_said(e, -ECONNREFUSED, "cannot connect to the server",
			       PQerrorMessage(*ret));
	return 0;
}

static cow_errno update(PGconn *c, const char *sql, const char *what, unsigned *count,
			struct cow_error *e)
{
	CLEANUP(pg_clear) PGresult *res = PQexec(c, sql);

	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		return pg_said(e, -EPERM, what, PQresultErrorMessage(res));
	*count += (unsigned)strtoul(PQcmdTuples(res), NULL, 10);
	return 0;
}

static cow_errno forget_in(const struct pg_address *at, const char *dbname,
			   struct pg_fork_change *c, struct cow_error *e)
{
	CLEANUP(pg_finish) PGconn *db = NULL;
	cow_errno r = pg_dial_plain(at, dbname, &db, e);

	if (r == 0)
		r = update(db, forget_mappings, "remove secrets of user mappings", &c->n_mappings,
			   e);
	if (r == 0)
		r = update(db, forget_servers, "remove secrets of foreign servers", &c->n_servers,
			   e);
	return r;
}

static cow_errno forget_everywhere(PGconn *c, const struct pg_address *at,
				   struct pg_fork_change *change, struct cow_error *e)
{
	CLEANUP(pg_clear) PGresult *res = PQexec(c, databases);
	cow_errno r = 0;

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		return pg_said(e, -EPERM, "list the databases", PQresultErrorMessage(res));
	for (int k = 0; r == 0 && k < PQntuples(res); k++)
		r = forget_in(at, PQgetvalue(res, k, 0), change, e);
	return r;
}

cow_errno pg_dial_shared(const struct pg_address *at, PGconn **ret, struct cow_error *e)
{
	cow_errno r = pg_dial_plain(at, "postgres", ret, e);

	/* Somebody may have dropped that one; this one cannot be missed by CREATE DATABASE. */
	if (r == -ECONNREFUSED) {
		PQfinish(*ret);
		*ret = NULL;
		r = pg_dial_plain(at, "template1", ret, e);
	}
	return r;
}

cow_errno cow_pg_fork_change(const struct pg_address *at, struct pg_fork_change *change,
			     struct cow_error *e)
{
	CLEANUP(pg_finish) PGconn *c = NULL;
	cow_errno r = pg_dial_shared(at, &c, e);

	if (r == 0 && change->subscriptions)
		r = update(c, disable_subscriptions, "disable subscriptions",
			   &change->n_subscriptions, e);
	if (r == 0 && change->foreign_passwords)
		r = forget_everywhere(c, at, change, e);
	return r;
}
