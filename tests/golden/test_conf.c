// SPDX-License-Identifier: Apache-2.0
/* golden.conf: what is refused. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tools/golden/golden.h"

static cow_errno load_url(const char *url, struct cow_error *e)
{
	char path[] = "/tmp/cowfs-test-conf.XXXXXX";
	struct golden_conf *c = NULL;
	int fd = mkstemp(path);
	cow_errno r;

	cr_assert_geq(fd, 0);
	dprintf(fd, "[source]\ntype = basebackup\nurl = %s\n", url);
	close(fd);
	r = golden_conf_load(path, &c, e);
	unlink(path);
	golden_conf_free(c);
	return r;
}

Test(conf, a_password_in_the_connection_string_is_refused_and_not_repeated)
{
	static const char *const with[] = {"postgresql://backup:hunter2@db/shop",
					   "postgres://backup:hunter2@db:5433/shop",
					   "postgresql://db/shop?user=backup&password=hunter2",
					   "host=db user=backup password=hunter2",
					   "host=db PASSWORD = hunter2",
					   "host=db sslpassword=hunter2"};

	for (size_t k = 0; k < sizeof(with) / sizeof(with[0]); k++) {
		struct cow_error e = COW_ERROR_INIT;

		cr_expect_eq(load_url(with[k], &e), -EINVAL, "%s", with[k]);
		cr_expect(strstr(e.text, "holds a password") != NULL, "%s", e.text);
		cr_expect(strstr(e.hint, ".pgpass") != NULL, "%s", e.hint);
		cr_expect_null(strstr(e.text, "hunter2"), "%s", e.text);
	}
}

Test(conf, what_holds_none_is_taken)
{
	static const char *const without[] = {
	    "host=db user=password passfile=/etc/pass", "postgresql://backup@db:5433/shop",
	    "postgresql://db:5433/shop", "postgresql://backup@[::1]:5433/shop?sslmode=require",
	    "postgresql://db:5433/shop?options=a@b"};

	for (size_t k = 0; k < sizeof(without) / sizeof(without[0]); k++) {
		struct cow_error e = COW_ERROR_INIT;

		cr_expect_eq(load_url(without[k], &e), 0, "%s: %s", without[k], e.text);
	}
}
