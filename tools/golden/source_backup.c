// SPDX-License-Identifier: Apache-2.0
/* Sources that are backups of a whole cluster: pg_basebackup from a running server, and pgBackRest.
 * Both write right into the private branch, so nothing is copied twice. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/cli/progress.h"
#include "tools/golden/program.h"
#include "tools/golden/server.h"
#include "tools/golden/source.h"
#include "tools/pg/pg_golden.h"
#include "tools/pg/pgbin.h"

/* --- pg_basebackup --- */

/* "12345/67890 kB (18%), 0/1 tablespace" */
static void show_progress(void *arg, const char *line)
{
	uint64_t done, total;

	if (sscanf(line, "%" SCNu64 "/%" SCNu64 " kB", &done, &total) == 2)
		progress_set(arg, done << 10, total << 10);
}

struct mappings {
	char **texts;
	size_t n;
	const char *into;
	char *locations;
};

/* The tablespace becomes a directory of the branch, and the link to it one into the branch. */
static cow_errno map_tablespace(void *arg, uint32_t oid, const char *location)
{
	struct mappings *m = arg;
	char **more = realloc(m->texts, (m->n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	m->texts = more;
	if (asprintf(&more[m->n], "--tablespace-mapping=%s=%s/cowfs_tablespaces/%u", location,
		     m->into, oid) < 0)
		return -ENOMEM;
	m->n++;
	return 0;
}

/* What can be asked in an ordinary connection. A role that may only replicate cannot make one: then
 * the newest programs here are taken, and the source must have no tablespaces. */
static cow_errno ask_source(const struct golden_run *run, struct mappings *m, int *ret_major,
			    struct cow_error *e)
{
	const struct pg_address at = {.url = run->conf->url, .dbname = NULL};
	struct pg_session *s = NULL;
	cow_errno r = cow_pg_open(&at, &s, e);

	if (r < 0) {
		*e = (struct cow_error)COW_ERROR_INIT;
		*ret_major = 0;
		return 0;
	}
	*ret_major = cow_pg_major(s);
	r = cow_pg_tablespaces(s, map_tablespace, m, e);
	cow_pg_close(s);
	return r;
}

static cow_errno programs(int major, char *ret, size_t size, struct cow_error *e)
{
	cow_errno r = -ENOENT;

	if (major)
		return pgbin_find(major, NULL, ret, size, e);
	for (int m = 18; r < 0 && m >= 12; m--)
		r = pgbin_find(m, NULL, ret, size, e);
	return r;
}

static cow_errno run_basebackup(struct golden_run *run, const struct mappings *m,
				const char *bindir, struct cow_error *e)
{
	const char **argv = calloc(m->n + 16, sizeof(*argv));
	char program[PATH_MAX + 16], label[64];
	struct progress *bar = progress_new("base backup", run->call->out.quiet);
	size_t n = 0;
	cow_errno r;

	if (!argv)
		return cow_fail(e, -ENOMEM, "no memory for a base backup");
	snprintf(program, sizeof(program), "%s/pg_basebackup", bindir);
	snprintf(label, sizeof(label), "cowfs golden %s", run->id);
	argv[n++] = program;
	argv[n++] = "-d";
	argv[n++] = run->conf->url;
	argv[n++] = "-D";
	argv[n++] = run->import.branch.pgdata;
	argv[n++] = "--wal-method=stream";
	argv[n++] = "--checkpoint=fast";
	argv[n++] = "--progress";
	argv[n++] = "--no-sync";
	argv[n++] = "--no-password";
	argv[n++] = "-l";
	argv[n++] = label;
	for (size_t k = 0; k < m->n; k++)
		argv[n++] = m->texts[k];
	r = program_run(&(struct program){.argv = argv,
					  .as = run->import.branch.pgdata,
					  .in = -1,
					  .out = -1,
					  .line = show_progress,
					  .arg = bar},
			e);
	progress_free(bar);
	free(argv);
	return r;
}

cow_errno golden_fetch_basebackup(struct golden_run *run, struct cow_error *e)
{
	struct mappings m = {0};
	char bindir[PATH_MAX];
	int major = 0;
	cow_errno r = golden_import_make(run, e);

	m.into = run->import.branch.pgdata;
	if (r == 0)
		r = ask_source(run, &m, &major, e);
	if (r == 0)
		r = programs(major, bindir, sizeof(bindir), e);
	if (r == 0)
		r = run_basebackup(run, &m, bindir, e);
	for (size_t k = 0; k < m.n; k++)
		free(m.texts[k]);
	free(m.texts);
	/* A connection string may hold a password. */
	snprintf(run->source_text, sizeof(run->source_text), "base backup of a running server");
	return r;
}

/* --- pgBackRest --- */

struct backrest {
	char stanza[128], where[PATH_MAX + 32], pgdata[PATH_MAX + 16];
};

static cow_errno backrest_options(const struct golden_run *run, struct backrest *b,
				  struct cow_error *e)
{
	const struct golden_conf *c = run->conf;

	snprintf(b->stanza, sizeof(b->stanza), "--stanza=%s", c->stanza);
	if (c->repo)
		snprintf(b->where, sizeof(b->where), "--repo1-path=%s", c->repo);
	else if (c->pgbackrest)
		snprintf(b->where, sizeof(b->where), "--config=%s", c->pgbackrest);
	else
		snprintf(b->where, sizeof(b->where), "--log-level-file=off");
	snprintf(b->pgdata, sizeof(b->pgdata), "--pg1-path=%s", run->import.branch.pgdata);
	/* They become words of restore_command, which a shell reads. */
	for (const char *p = b->stanza; p; p = p == b->stanza  ? b->where
					       : p == b->where ? b->pgdata
							       : NULL)
		if (strpbrk(p, "'\"\\$`; \t\n&|<>()"))
			return cow_fail(e, -EINVAL, "%s has a character that a shell would read",
					p);
	return 0;
}

static cow_errno run_backrest(struct golden_run *run, const struct backrest *b, struct cow_error *e)
{
	const char *const argv[] = {"pgbackrest",
				    b->stanza,
				    b->where,
				    b->pgdata,
				    "--log-level-console=off",
				    "--log-level-stderr=error",
				    "--log-level-file=off",
				    "--archive-mode=off",
				    "restore",
				    NULL};

	return program_run(
	    &(struct program){.argv = argv, .as = run->import.branch.pgdata, .in = -1, .out = -1},
	    e);
}

/* Without hot standby nobody is let in before recovery has ended; a pid file says "standby" before.
 */
static cow_errno await_promotion(struct golden_run *run, struct cow_error *e)
{
	const struct pg_address at = golden_address(&run->import, "postgres");
	struct pgstate state;
	cow_errno r;

	while (cow_pg_ping(&at) != PG_ANSWER_OK) {
		r = pgstate_read(run->import.branch.pgdata, &state, e);
		if (r < 0)
			return r;
		if (!state.running)
			return cow_fail(e, -ECHILD, "the server ended while it recovered; see %s",
					run->import.branch.log);
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	}
	return 0;
}

/* Reads its WAL from the repository to the end of it: the image shows the newest that is archived.
 * No target of recovery: the server refuses one beside the empty ones that a fork is started with.
 */
static cow_errno recover(struct golden_run *run, const struct backrest *b, struct cow_error *e)
{
	struct cow_pgconf_list extra = {0};
	CLEANUP_FREE char *command = NULL;
	cow_errno r = -ENOMEM;

	if (asprintf(&command,
		     "pgbackrest %s %s %s --log-level-file=off --log-level-console=off archive-get "
		     "%%f \"%%p\"",
		     b->stanza, b->where, b->pgdata) >= 0)
		r = cow_pgconf_list_set(&extra, "restore_command", command);
	else
		command = NULL;
	if (r == 0)
		r = cow_pgconf_list_set(&extra, "hot_standby", "off");
	if (r < 0)
		cow_fail(e, r, "no memory for settings");
	else
		r = golden_server_start(run, &run->import, &extra, e);
	cow_pgconf_list_release(&extra);
	return r < 0 ? r : await_promotion(run, e);
}

cow_errno golden_fetch_pgbackrest(struct golden_run *run, struct cow_error *e)
{
	struct backrest b;
	cow_errno r = golden_import_make(run, e);

	if (r == 0)
		r = backrest_options(run, &b, e);
	if (r == 0)
		r = run_backrest(run, &b, e);
	if (r == -ENOENT)
		cow_hint(e, r, "Install it: apt-get install pgbackrest");
	if (r == 0)
		r = recover(run, &b, e);
	snprintf(run->source_text, sizeof(run->source_text), "pgBackRest, stanza %s",
		 run->conf->stanza);
	return r;
}
