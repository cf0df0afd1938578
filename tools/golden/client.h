// SPDX-License-Identifier: Apache-2.0
/* client: run a program of PostgreSQL (pg_dump, psql, ...) on the server of a private branch, in
 * the version of that server and as the owner of the data. */
#pragma once
#include "tools/golden/golden.h"

#define CLIENT_ARGS_MAX 32

struct golden_client {
	const struct golden_server *on;
	const char *program;
	const char *database;              /* PGDATABASE; NULL = postgres */
	const char *args[CLIENT_ARGS_MAX]; /* ends with NULL */
	int in, out;                       /* 0 = /dev/null */
};

/* Errors as of program_run. */
cow_errno golden_client_run(const struct golden_client *c, struct cow_error *e);
