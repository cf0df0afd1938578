// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pgurl.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cow_errno pgurl_parse_format(const char *word, enum pgurl_format *ret)
{
	static const char *const words[] = {"uri", "jdbc", "dsn", "dotenv", "service"};

	for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
		if (strcmp(words[k], word) == 0) {
			*ret = (enum pgurl_format)k;
			return 0;
		}
	}
	return -EINVAL;
}

/* RFC 3986: all but the unreserved characters. Never locale: a byte above 127 is no letter here. */
static void put_encoded(FILE *f, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 128 && (isalnum(c) || strchr("-_.~", c)))
			fputc(c, f);
		else
			fprintf(f, "%%%02X", c);
	}
}

/* An address of IPv6 stands in brackets. */
static void put_host(FILE *f, const struct pgurl *u)
{
	bool six = strchr(u->host, ':') && u->host[0] != '[';

	fprintf(f, six ? "[%s]:%d" : "%s:%d", u->host, u->port);
}

static void put_uri(FILE *f, const struct pgurl *u)
{
	bool sockets = u->host[0] == '/';

	fputs("postgresql://", f);
	put_encoded(f, u->user);
	fputc('@', f);
	if (!sockets)
		put_host(f, u);
	fputc('/', f);
	put_encoded(f, u->dbname);
	if (sockets) {
		fputs("?host=", f);
		put_encoded(f, u->host);
		fprintf(f, "&port=%d", u->port);
	}
	if (u->connect_timeout)
		fprintf(f, "%cconnect_timeout=%u", sockets ? '&' : '?', u->connect_timeout);
}

static void put_jdbc(FILE *f, const struct pgurl *u)
{
	fputs("jdbc:postgresql://", f);
	put_host(f, u);
	fputc('/', f);
	put_encoded(f, u->dbname);
	fputs("?user=", f);
	put_encoded(f, u->user);
	if (u->connect_timeout)
		fprintf(f, "&connectTimeout=%u&loginTimeout=%u", u->connect_timeout,
			u->connect_timeout);
}

/* libpq: a value with blanks, quotes or backslashes, or an empty one, stands in single quotes. */
static void put_dsn_value(FILE *f, const char *name, const char *value)
{
	bool quote = !*value || value[strcspn(value, " '\\")];

	fprintf(f, "%s=%s", name, quote ? "'" : "");
	for (; *value; value++) {
		if (*value == '\'' || *value == '\\')
			fputc('\\', f);
		fputc(*value, f);
	}
	fputs(quote ? "' " : " ", f);
}

static void put_dsn(FILE *f, const struct pgurl *u)
{
	put_dsn_value(f, "host", u->host);
	fprintf(f, "port=%d ", u->port);
	put_dsn_value(f, "user", u->user);
	put_dsn_value(f, "dbname", u->dbname);
	if (u->connect_timeout)
		fprintf(f, "connect_timeout=%u ", u->connect_timeout);
}

/* Read alike by dotenv libraries, docker and a shell: plain, or in single quotes; a single quote
 * inside needs double ones. */
static void put_env(FILE *f, const char *name, const char *value)
{
	const char *quote = strchr(value, '\'') ? "\"" : "'";
	bool plain = *value;

	for (const char *p = value; plain && *p; p++)
		plain = isalnum((unsigned char)*p) || strchr("-_.~%:/@?=&+,", *p);
	/* A shell takes & for an end of the command. */
	if (plain && !strchr(value, '&') && !strchr(value, '?')) {
		fprintf(f, "%s=%s\n", name, value);
		return;
	}
	fprintf(f, "%s=%s", name, quote);
	for (; *value; value++) {
		if (*quote == '"' && strchr("\"\\$`", *value))
			fputc('\\', f);
		fputc(*value, f);
	}
	fprintf(f, "%s\n", quote);
}

static cow_errno put_dotenv(FILE *f, const struct pgurl *u, struct cow_error *e)
{
	char *uri = NULL, number[16];
	cow_errno r = pgurl_print(u, PGURL_URI, &uri, e);

	if (r < 0)
		return r;
	put_env(f, "DATABASE_URL", uri);
	free(uri);
	put_env(f, "PGHOST", u->host);
	snprintf(number, sizeof(number), "%d", u->port);
	put_env(f, "PGPORT", number);
	put_env(f, "PGUSER", u->user);
	put_env(f, "PGDATABASE", u->dbname);
	if (u->connect_timeout)
		fprintf(f, "PGCONNECT_TIMEOUT=%u\n", u->connect_timeout);
	put_env(f, "COWFS_BRANCH", u->name);
	return 0;
}

/* A value is the rest of its line, and a name ends at the first bracket. */
static void put_service(FILE *f, const struct pgurl *u)
{
	fputc('[', f);
	for (const char *p = u->name; *p; p++)
		fputc(*p == ']' ? '-' : *p, f);
	fprintf(f, "]\nhost=%s\nport=%d\nuser=%s\ndbname=%s\n", u->host, u->port, u->user,
		u->dbname);
	if (u->connect_timeout)
		fprintf(f, "connect_timeout=%u\n", u->connect_timeout);
}

static cow_errno check(const struct pgurl *u, enum pgurl_format format, struct cow_error *e)
{
	const char *const texts[] = {u->name, u->host, u->user, u->dbname};

	for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++)
		for (const char *p = texts[k]; *p; p++)
			if (iscntrl((unsigned char)*p))
				return cow_fail(e, -EINVAL, "a name holds a control character");
	if (format == PGURL_JDBC && u->host[0] == '/')
		return cow_fail(e, -EINVAL, "JDBC has no sockets in directories");
	return 0;
}

cow_errno pgurl_print(const struct pgurl *u, enum pgurl_format format, char **ret,
		      struct cow_error *e)
{
	char *buf = NULL;
	size_t size = 0;
	FILE *f;
	cow_errno r = check(u, format, e);

	if (r < 0)
		return r;
	f = open_memstream(&buf, &size);
	if (!f)
		return cow_fail(e, -ENOMEM, "no memory for a URL");
	switch (format) {
	case PGURL_URI:
		put_uri(f, u);
		break;
	case PGURL_JDBC:
		put_jdbc(f, u);
		break;
	case PGURL_DSN:
		put_dsn(f, u);
		break;
	case PGURL_DOTENV:
		r = put_dotenv(f, u, e);
		break;
	case PGURL_SERVICE:
		put_service(f, u);
		break;
	}
	if (fclose(f) != 0 && r == 0)
		r = cow_fail(e, -ENOMEM, "no memory for a URL");
	if (r < 0) {
		free(buf);
		return r;
	}
	if (format == PGURL_DSN) /* the blank after the last one */
		buf[strlen(buf) - 1] = '\0';
	*ret = buf;
	return 0;
}
