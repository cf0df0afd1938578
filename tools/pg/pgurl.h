// SPDX-License-Identifier: Apache-2.0
/* pgurl: the address of a server in the ways that programs want it. Pure text.
 *
 * No password is ever in it. Names may hold anything but control characters; each format quotes in
 * its own way. */
#pragma once
#include "store/error.h"

enum pgurl_format {
	PGURL_URI,     /* postgresql://USER@HOST:PORT/DATABASE */
	PGURL_JDBC,    /* jdbc:postgresql://HOST:PORT/DATABASE?user=USER */
	PGURL_DSN,     /* host=... port=... user=... dbname=... */
	PGURL_DOTENV,  /* DATABASE_URL and PG*, one NAME=VALUE a line */
	PGURL_SERVICE, /* a section of pg_service.conf */
};

#define PGURL_FORMATS "uri|jdbc|dsn|dotenv|service"

/* All borrowed. */
struct pgurl {
	const char *name; /* of the branch; COWFS_BRANCH, and the name of the service */
	const char *host; /* a name, an address, or a directory of sockets */
	int port;         /* 1..65535 */
	const char *user, *dbname;
	unsigned connect_timeout; /* seconds; 0 = nothing about it */
};

/* -EINVAL: none of PGURL_FORMATS. */
cow_errno pgurl_parse_format(const char *word, enum pgurl_format *ret);

/* Text to be freed by the caller; formats of several lines end with a newline. -EINVAL a control
 * character in a name, or a socket directory for JDBC, which has none; reason in `e`. */
cow_errno pgurl_print(const struct pgurl *u, enum pgurl_format format, char **ret,
		      struct cow_error *e);
