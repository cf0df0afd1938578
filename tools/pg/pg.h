// SPDX-License-Identifier: Apache-2.0
/* pg: named things that are asked of a PostgreSQL server over a connection.
 *
 * pg*.c are the only includers of libpq (pg_impl.h is what they share). There is no function that
 * runs any SQL: what cowfs does to a database is what is listed here. Servers are started elsewhere
 * (pgserver.h). Connections are made as the calling user; errors carry the server's own words. */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "store/error.h"

struct command_call;
struct pgrelation;

/* Where a server listens. All borrowed. */
struct pg_address {
	const char *url;  /* connection string, which says all but dbname; NULL: what follows */
	const char *host; /* name, address, or socket directory */
	int port;
	const char *user, *dbname;
};

/* Load what talking to a server needs, which is else done when it is first needed: for processes
 * that stay, and whose children would each do it again. -ELIBACC there is no libpq. */
cow_errno cow_pg_ready(struct cow_error *e);

/* A connection; one thread at a time. */
struct pg_session;
/* -ECONNREFUSED cannot connect. */
cow_errno cow_pg_open(const struct pg_address *at, struct pg_session **ret, struct cow_error *e);
void cow_pg_close(struct pg_session *s); /* NULL is fine */

enum pg_answer {
	PG_ANSWER_OK,      /* takes connections */
	PG_ANSWER_NOT_YET, /* alive, but starting, stopping or recovering */
	PG_ANSWER_NONE,    /* nobody answers */
};
enum pg_answer cow_pg_ping(const struct pg_address *at);

/* Ask for a checkpoint and wait for it. -ECONNREFUSED cannot connect, -EPERM not allowed. */
cow_errno cow_pg_checkpoint(const struct pg_address *at, struct cow_error *e);

/* 0: a point of the branch may be taken while this server runs. -EPERM: fsync or full_page_writes
 * is off, the reason and the remedy are in `e`. -ECONNREFUSED cannot connect. */
cow_errno cow_pg_check_snapshot_safe(const struct pg_address *at, struct cow_error *e);

/* What the relation of a file is called now, with its kind, its table and its database: "index
 * public.orders_pkey (of public.orders) in shop". -ENOENT it has none by that number, or no such
 * database; -ECONNREFUSED; else as pg_rows. */
cow_errno cow_pg_relation_name(const struct pg_address *at, const struct pgrelation *file,
			       char *ret, size_t size, struct cow_error *e);

/* Milliseconds since any client of this server did anything: ran a statement, ended one, connected.
 * 0: one is at it, or has a transaction open. Without clients a very long time. -ECONNREFUSED,
 * -EPERM. */
cow_errno cow_pg_idle_ms(const struct pg_address *at, uint64_t *ret, struct cow_error *e);

struct pg_activity {
	uint64_t transactions; /* since its statistics began, of all databases */
	unsigned connections;  /* of clients, without the one that asks */
};
/* -ECONNREFUSED cannot connect, else as pg_rows. */
cow_errno cow_pg_activity(const struct pg_address *at, struct pg_activity *ret,
			  struct cow_error *e);

/* What is changed in the catalogs of a fork (pgfirst.h). */
struct pg_fork_change {
	bool subscriptions;     /* disable them, and forget slot and address of the publisher */
	bool foreign_passwords; /* forget secrets of foreign servers and user mappings */
	unsigned n_subscriptions, n_servers, n_mappings; /* out: how many there were */
};

/* Over a connection of a superuser; `at->dbname` is ignored. Doing it again changes nothing more.
 * -ECONNREFUSED cannot connect; -EPERM the server refused, in its words. A database may have been
 * changed when a later one failed. */
cow_errno cow_pg_fork_change(const struct pg_address *at, struct pg_fork_change *c,
			     struct cow_error *e);

/* Run the SQL of a file on a branch in one transaction, with psql as the owner of the data; starts
 * its server for that time when it does not run. "-" is stdin. On failure nothing of the file has
 * happened, and the reason is in call->error. `stop`: as of struct process; NULL = none. (pgseed.c)
 */
cow_errno pg_seed(struct command_call *call, const char *branch, const char *file,
		  const volatile sig_atomic_t *stop);
