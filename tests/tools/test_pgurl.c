// SPDX-License-Identifier: Apache-2.0
/* Addresses as programs want them, with names that need quoting in each. */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/pg/pgurl.h"

static const struct pgurl odd = {.name = "feature/x]y",
				 .host = "127.0.0.1",
				 .port = 54321,
				 .user = "o'ne@two",
				 .dbname = "a b/\xc3\xbc?"};

static void prints(struct pgurl u, enum pgurl_format format, const char *want)
{
	CLEANUP_FREE char *text = NULL;

	cr_assert_eq(pgurl_print(&u, format, &text, NULL), 0);
	cr_assert_str_eq(text, want);
}

Test(pgurl, a_uri_encodes_every_byte_that_is_not_unreserved)
{
	prints(odd, PGURL_URI, "postgresql://o%27ne%40two@127.0.0.1:54321/a%20b%2F%C3%BC%3F");
}

Test(pgurl, a_socket_directory_is_a_parameter)
{
	struct pgurl u = odd;

	u.host = "/run/cowfs/a b";
	u.connect_timeout = 30;
	prints(
	    u, PGURL_URI,
	    "postgresql://o%27ne%40two@/a%20b%2F%C3%BC%3F?host=%2Frun%2Fcowfs%2Fa%20b&port=54321&"
	    "connect_timeout=30");
	cr_assert_eq(pgurl_print(&u, PGURL_JDBC, &(char *){NULL}, NULL), -EINVAL);
}

Test(pgurl, jdbc_has_the_user_as_a_parameter)
{
	struct pgurl u = odd;

	u.connect_timeout = 30;
	prints(
	    u, PGURL_JDBC,
	    "jdbc:postgresql://127.0.0.1:54321/a%20b%2F%C3%BC%3F?user=o%27ne%40two&connectTimeout="
	    "30&loginTimeout=30");
}

Test(pgurl, a_dsn_quotes_what_libpq_would_split)
{
	prints(odd, PGURL_DSN,
	       "host=127.0.0.1 port=54321 user='o\\'ne@two' dbname='a b/\xc3\xbc?'");
}

Test(pgurl, dotenv_quotes_for_libraries_and_shells)
{
	prints(odd, PGURL_DOTENV,
	       "DATABASE_URL=postgresql://o%27ne%40two@127.0.0.1:54321/a%20b%2F%C3%BC%3F\n"
	       "PGHOST=127.0.0.1\nPGPORT=54321\nPGUSER=\"o'ne@two\"\nPGDATABASE='a b/\xc3\xbc?'\n"
	       "COWFS_BRANCH='feature/x]y'\n");
}

Test(pgurl, a_service_is_a_section_that_nothing_can_end_early)
{
	struct pgurl u = odd;

	u.connect_timeout = 30;
	prints(u, PGURL_SERVICE,
	       "[feature/x-y]\nhost=127.0.0.1\nport=54321\nuser=o'ne@two\ndbname=a b/\xc3\xbc?\n"
	       "connect_timeout=30\n");
	u.dbname = "a\nhost=elsewhere";
	cr_assert_eq(pgurl_print(&u, PGURL_SERVICE, &(char *){NULL}, NULL), -EINVAL);
}
