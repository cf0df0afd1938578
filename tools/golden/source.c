// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "store/branch.h"
#include "store/cleanup.h"
#include "tools/golden/server.h"
#include "tools/pg/pg_golden.h"

const char *golden_branch_name(const struct golden_run *run, const char *what, char *buf,
			       size_t size)
{
	snprintf(buf, size, "%s/%s", run->prefix, what);
	return buf;
}

cow_errno golden_import_make(struct golden_run *run, struct cow_error *e)
{
	char name[COW_BRANCH_MAX + 1];
	const struct golden_branch how = {
	    .name = golden_branch_name(run, GOLDEN_IMPORT, name, sizeof(name)),
	    .purpose = "import",
	    .ephemeral = true,
	};

	return golden_branch_make(run, &how, &run->import, e);
}

/* A stopped data directory comes in as `cowfs import` does it, from the disk and not through the
 * mount.
 */
cow_errno golden_fetch_pgdata(struct golden_run *run, struct cow_error *e)
{
	char name[COW_BRANCH_MAX + 1], real[PATH_MAX];
	json_t *answer = NULL;
	const char *path;
	cow_errno r;

	golden_branch_name(run, GOLDEN_IMPORT, name, sizeof(name));
	if (!realpath(run->conf->pgdata, real))
		return cow_fail(e, -errno, "cannot find %s: %s", run->conf->pgdata,
				strerror(errno));
	r = command_ask(run->call, "import",
			json_pack("{s:s,s:s,s:b,s:b,s:{s:s}}", "pgdata", real, "name", name,
				  "verify", 1, "ephemeral", 1, "settings", "private", "import"),
			&answer);
	if (r < 0) {
		*e = run->call->error;
		return r;
	}
	path = json_string_value(json_object_get(answer, "path"));
	snprintf(run->import.branch.name, sizeof(run->import.branch.name), "%s", name);
	snprintf(run->import.branch.pgdata, sizeof(run->import.branch.pgdata), "%s",
		 path ? path : "");
	json_decref(answer);
	snprintf(run->source_text, sizeof(run->source_text), "data directory %s", real);
	return 0;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static const struct {
	const char *doing;
	cow_errno (*fetch)(struct golden_run *run, struct cow_error *e);
} kinds[] = {
    [GOLDEN_BASEBACKUP] = {"base backup", golden_fetch_basebackup},
    [GOLDEN_PGDATA] = {"import of a data directory", golden_fetch_pgdata},
    [GOLDEN_DUMP] = {"restore of a dump", golden_fetch_dump},
    [GOLDEN_PGBACKREST] = {"restore from pgBackRest", golden_fetch_pgbackrest},
};

/* --- what nobody committed --- */

struct open_work {
	struct golden_run *run;
	unsigned count;
	struct cow_error *e;
};

static cow_errno roll_back_in(void *arg, const char *database)
{
	struct open_work *w = arg;
	struct pg_address at = golden_address(&w->run->import, database);
	struct pg_session *s = NULL;
	cow_errno r = cow_pg_open(&at, &s, w->e);

	if (r == 0)
		r = cow_pg_rollback_prepared(s, &w->count, w->e);
	cow_pg_close(s);
	return r;
}

/* Their locks would hold masking up for ever, and their rows are no part of the database. */
static cow_errno roll_back(struct golden_run *run, struct cow_error *e)
{
	struct open_work w = {.run = run, .e = e};
	struct pg_address at = golden_address(&run->import, "postgres");
	struct pg_session *s = NULL;
	cow_errno r = cow_pg_open(&at, &s, e);

	if (r == 0)
		r = cow_pg_prepared_databases(s, roll_back_in, &w, e);
	cow_pg_close(s);
	if (r == 0 && w.count)
		golden_say(run, "rolled back %u prepared transaction%s that nobody committed",
			   w.count, w.count == 1 ? "" : "s");
	return r;
}

cow_errno golden_fetch(struct golden_run *run, struct cow_error *e)
{
	enum golden_source kind = run->conf->source;
	int64_t began = now_ns();
	cow_errno r;

	/* Each kind knows better, if it can know at all. */
	run->source_ns = began;
	golden_say(run, "%s begins", kinds[kind].doing);
	r = kinds[kind].fetch(run, e);
	if (r == 0 && !run->import.running)
		r = golden_server_start(run, &run->import, NULL, e);
	if (r == 0)
		r = roll_back(run, e);
	if (r < 0)
		return cow_wrap(e, r, "%s", kinds[kind].doing);
	golden_say(run, "%s: done in %.1f s", run->source_text, (double)(now_ns() - began) / 1e9);
	return 0;
}
