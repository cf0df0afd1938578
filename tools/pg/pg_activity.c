// SPDX-License-Identifier: Apache-2.0
/* pg_activity: how busy a server is. */
#include <errno.h>
#include <stdlib.h>

#include "store/cleanup.h"
#include "tools/pg/pg_impl.h"

static cow_errno read_row(void *arg, const char *const *values)
{
	struct pg_activity *a = arg;

	a->transactions = strtoull(values[0] ? values[0] : "0", NULL, 10);
	a->connections = (unsigned)strtoul(values[1] ? values[1] : "0", NULL, 10);
	return 0;
}

cow_errno cow_pg_activity(const struct pg_address *at, struct pg_activity *ret, struct cow_error *e)
{
	/* Our own connection does not count. */
	static const struct pg_query q = {
	    .doing = "read the statistics",
	    .sql = "SELECT pg_catalog.sum(xact_commit + xact_rollback)::bigint, "
		   "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity "
		   "WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()) "
		   "FROM pg_catalog.pg_stat_database",
	};
	struct pg_session *s = NULL;
	cow_errno r = cow_pg_open(at, &s, e);

	if (r == 0)
		r = pg_rows(s, &q, read_row, ret, e);
	cow_pg_close(s);
	return r;
}
