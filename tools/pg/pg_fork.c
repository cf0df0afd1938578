// SPDX-License-Identifier: Apache-2.0
/* pg_fork: what is changed in the catalogs of a fork, and new passwords for its roles (pgfirst.h).
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

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

static cow_errno dial_plain(const struct pg_address *at, const char *dbname, PGconn **ret,
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
	cow_errno r = dial_plain(at, dbname, &db, e);

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

/* --- passwords --- */

#define PASSWORD_BYTES 18 /* 144 bits, 24 letters */

/* Letters that need no quoting anywhere, from the kernel's random numbers. */
static cow_errno random_password(char ret[PASSWORD_BYTES / 3 * 4 + 1], struct cow_error *e)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t raw[PASSWORD_BYTES / 3 * 4];

	if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		return cow_fail(e, -EIO, "no random numbers");
	for (size_t k = 0; k < sizeof(raw); k++)
		ret[k] = letters[raw[k] & 63];
	ret[sizeof(raw)] = '\0';
	return 0;
}

/* The server sees the verifier only: what it logs or keeps is not the password. */
static cow_errno set_password(PGconn *c, const char *role, const char *password,
			      struct cow_error *e)
{
	char *verifier = PQencryptPasswordConn(c, password, role, NULL);
	char *name = PQescapeIdentifier(c, role, strlen(role)), *text = NULL;
	char *literal = verifier ? PQescapeLiteral(c, verifier, strlen(verifier)) : NULL;
	CLEANUP(pg_clear) PGresult *res = NULL;
	cow_errno r = 0;

	if (literal && name && asprintf(&text, "ALTER ROLE %s PASSWORD %s", name, literal) > 0)
		res = PQexec(c, text);
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		r = pg_said(e, -EPERM, "give a role a new password", PQerrorMessage(c));
	free(text);
	PQfreemem(verifier);
	PQfreemem(name);
	PQfreemem(literal);
	return r;
}

static cow_errno new_passwords(PGconn *c, json_t **ret, struct cow_error *e)
{
	CLEANUP(pg_clear)
	PGresult *res = PQexec(c, "SELECT rolname FROM pg_authid WHERE rolcanlogin AND "
				  "rolpassword IS NOT NULL ORDER BY 1");
	char password[PASSWORD_BYTES / 3 * 4 + 1];
	json_t *all = json_object();
	cow_errno r = 0;

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		r = pg_said(e, -EPERM, "list the roles", PQresultErrorMessage(res));
	for (int k = 0; r == 0 && k < PQntuples(res); k++) {
		const char *role = PQgetvalue(res, k, 0);

		r = random_password(password, e);
		if (r == 0)
			r = set_password(c, role, password, e);
		json_object_set_new(all, role, json_string(password));
	}
	if (r == 0)
		*ret = all;
	else
		json_decref(all);
	return r;
}

cow_errno cow_pg_fork_change(const struct pg_address *at, struct pg_fork_change *change,
			     json_t **passwords, struct cow_error *e)
{
	CLEANUP(pg_finish) PGconn *c = NULL;
	cow_errno r = dial_plain(at, "postgres", &c, e);

	/* Somebody may have dropped that one; this one cannot be missed by CREATE DATABASE. */
	if (r == -ECONNREFUSED) {
		PQfinish(c);
		c = NULL;
		r = dial_plain(at, "template1", &c, e);
	}
	if (r == 0 && change->subscriptions)
		r = update(c, disable_subscriptions, "disable subscriptions",
			   &change->n_subscriptions, e);
	if (r == 0 && change->foreign_passwords)
		r = forget_everywhere(c, at, change, e);
	if (r == 0 && passwords)
		r = new_passwords(c, passwords, e);
	return r;
}
