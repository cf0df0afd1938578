// SPDX-License-Identifier: Apache-2.0
/* build: a new root from a masked server: fresh cluster, roles, dump and restore of every database.
 *
 * The dump lies in an ephemeral branch of its own, so nothing of it is ever written to the host
 * outside of the store, and its space comes back when the branch goes. Not carried over:
 * subscriptions (they would connect to production), security labels (rules of masking), tablespaces
 * (an image is one directory), and, unless passwords are kept, passwords of roles and the options
 * of user mappings. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/os.h"
#include "tools/golden/client.h"
#include "tools/golden/publish_parts.h"
#include "tools/golden/server.h"
#include "tools/pg/pg_proof.h"

/* --- the empty cluster --- */

static cow_errno make_cluster(struct golden_image *g, struct cow_error *e)
{
	struct golden_run *run = g->run;
	char name[COW_BRANCH_MAX + 1], encoding[64], locale[64];
	const struct golden_branch how = {.name = name, .purpose = "image"};
	struct golden_initdb init = {.major = run->masked.branch.major,
				     .superuser = run->masked.branch.user,
				     .encoding = encoding,
				     .locale = locale};
	struct pg_address at = golden_address(&run->masked, "postgres");
	struct pg_session *s = NULL;
	cow_errno r = cow_pg_open(&at, &s, e);

	snprintf(name, sizeof(name), "%s/image", run->prefix);
	if (r == 0)
		r = cow_pg_cluster(s, encoding, locale, &init.checksums, e);
	cow_pg_close(s);
	if (r == 0)
		r = golden_branch_make(run, &how, &g->server, e);
	return r < 0 ? r : golden_initdb(run, &init, &g->server, e);
}

cow_errno golden_build_start(struct golden_image *g, struct cow_error *e)
{
	static const char *const fast[][2] = {
	    {"wal_level", "minimal"}, {"max_wal_senders", "0"}, {"synchronous_commit", "off"}};
	struct cow_pgconf_list l = {0};
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && k < sizeof(fast) / sizeof(fast[0]); k++)
		r = cow_pgconf_list_set(&l, fast[k][0], fast[k][1]);
	r = r < 0 ? cow_fail(e, r, "no memory for settings")
		  : golden_server_start(g->run, &g->server, &l, e);
	cow_pgconf_list_release(&l);
	/* The bootstrap role of the new cluster is that of the old one. */
	snprintf(g->server.branch.user, sizeof(g->server.branch.user), "%s",
		 g->run->masked.branch.user);
	return r;
}

/* --- roles --- */

/* All but the line that makes the role which is there already. */
static cow_errno without_superuser(int from, int to, const char *user, struct cow_error *e)
{
	FILE *f = lseek(from, 0, SEEK_SET) == 0 ? fdopen(dup(from), "r") : NULL;
	CLEANUP_FREE char *line = NULL;
	char plain[160], quoted[160];
	size_t room = 0;
	ssize_t n;
	cow_errno r = f ? 0 : cow_fail(e, -errno, "cannot read the roles");

	snprintf(plain, sizeof(plain), "CREATE ROLE %s;\n", user);
	snprintf(quoted, sizeof(quoted), "CREATE ROLE \"%s\";\n", user);
	while (r == 0 && (n = getline(&line, &room, f)) > 0) {
		if (strcmp(line, plain) == 0 || strcmp(line, quoted) == 0)
			continue;
		if (write(to, line, (size_t)n) != n)
			r = cow_fail(e, -EIO, "no memory for the roles");
	}
	if (f)
		fclose(f);
	if (r == 0 && lseek(to, 0, SEEK_SET) < 0)
		r = -errno;
	return r;
}

/* In memory: passwords are not for the disk. */
static cow_errno copy_roles(struct golden_image *g, struct cow_error *e)
{
	CLEANUP_FD int all = memfd_create("roles", MFD_CLOEXEC);
	CLEANUP_FD int kept = memfd_create("roles", MFD_CLOEXEC);
	struct golden_client dump = {
	    .on = &g->run->masked,
	    .program = "pg_dumpall",
	    .args = {"--roles-only", "--no-security-labels", "--no-role-passwords"},
	    .out = all};
	const struct golden_client restore = {.on = &g->server,
					      .program = "psql",
					      .args = {"-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-"},
					      .in = kept};
	cow_errno r = all < 0 || kept < 0 ? cow_fail(e, -errno, "no memory for the roles") : 0;

	if (g->run->conf->keep_passwords)
		dump.args[2] = NULL;
	if (r == 0)
		r = golden_client_run(&dump, e);
	if (r == 0)
		r = without_superuser(all, kept, g->run->masked.branch.user, e);
	if (r == 0)
		r = golden_client_run(&restore, e);
	return r < 0 ? cow_wrap(e, r, "copy the roles") : 0;
}

/* --- databases --- */

/* The table of contents without what is not carried over; NULL-safe names are PostgreSQL's. */
static cow_errno write_list(const struct golden_image *g, const char *dir, const char *list,
			    struct cow_error *e)
{
	CLEANUP_FD int out = memfd_create("list", MFD_CLOEXEC);
	const struct golden_client c = {
	    .on = &g->server, .program = "pg_restore", .args = {"-l", dir}, .out = out};
	CLEANUP_FREE char *line = NULL;
	size_t room = 0;
	FILE *in, *to;
	cow_errno r =
	    out < 0 ? cow_fail(e, -errno, "no memory for a list") : golden_client_run(&c, e);

	if (r < 0)
		return r;
	in = lseek(out, 0, SEEK_SET) == 0 ? fdopen(dup(out), "r") : NULL;
	to = fopen(list, "we");
	while (in && to && getline(&line, &room, in) > 0)
		if (g->run->conf->keep_passwords || !strstr(line, " USER MAPPING "))
			fputs(line, to);
	if (!in || !to)
		r = cow_fail(e, -errno, "cannot write %s: %s", list, strerror(errno));
	if (in)
		fclose(in);
	if (to && (fchmod(fileno(to), 0644) < 0 || fclose(to) != 0) && r == 0)
		r = cow_fail(e, -EIO, "cannot write %s", list);
	return r;
}

static cow_errno dump(const struct golden_image *g, const char *database, const char *dir,
		      const char *jobs, struct cow_error *e)
{
	const struct golden_client c = {.on = &g->run->masked,
					.program = "pg_dump",
					.database = database,
					.args = {"-Fd", "-Z0", "-j", jobs, "-f", dir, "--no-sync",
						 "--no-tablespaces", "--no-subscriptions",
						 "--no-security-labels"}};
	cow_errno r = golden_client_run(&c, e);

	return r < 0 ? cow_wrap(e, r, "dump %s", database) : 0;
}

static cow_errno restore(const struct golden_image *g, const char *database, const char *dir,
			 const char *list, const char *jobs, struct cow_error *e)
{
	bool there = strcmp(database, "postgres") == 0;
	const struct golden_client c = {.on = &g->server,
					.program = "pg_restore",
					.args = {"-j", jobs, "-L", list, "--exit-on-error",
						 "--no-tablespaces", "-d", "postgres", dir,
						 there ? NULL : "-C"}};
	cow_errno r = golden_client_run(&c, e);

	return r < 0 ? cow_wrap(e, r, "restore %s", database) : 0;
}

static cow_errno copy_database(struct golden_image *g, size_t number, struct cow_error *e)
{
	const char *name = g->run->databases[number].name;
	char dir[PATH_MAX + 32], list[PATH_MAX + 48], jobs[16];
	cow_errno r;

	snprintf(dir, sizeof(dir), "%s/%zu", g->dump.branch.pgdata, number);
	snprintf(list, sizeof(list), "%s/%zu.list", g->dump.branch.pgdata, number);
	snprintf(jobs, sizeof(jobs), "%u", COW_MAX(g->run->conf->jobs, 1u));
	golden_say(g->run, "copy %s to the new image", name);
	r = dump(g, name, dir, jobs, e);
	if (r == 0)
		r = write_list(g, dir, list, e);
	return r < 0 ? r : restore(g, name, dir, list, jobs, e);
}

static cow_errno copy_databases(struct golden_image *g, struct cow_error *e)
{
	char name[COW_BRANCH_MAX + 1];
	const struct golden_branch how = {.name = name, .purpose = "dump", .ephemeral = true};
	struct cow_error late = COW_ERROR_INIT;
	cow_errno r, gone;

	snprintf(name, sizeof(name), "%s/dump", g->run->prefix);
	r = golden_branch_make(g->run, &how, &g->dump, e);
	for (size_t d = 0; r == 0 && d < g->run->n_databases; d++)
		r = copy_database(g, d, e);
	gone = golden_branch_drop(g->run, &g->dump, &late);
	if (r == 0 && gone < 0) {
		*e = late;
		r = gone;
	}
	return r;
}

cow_errno golden_build(struct golden_image *g, struct cow_error *e)
{
	cow_errno r;

	if (g->run->carry.from[0])
		return golden_renew(g, e);
	r = make_cluster(g, e);
	if (r == 0)
		r = golden_build_start(g, e);
	if (r == 0)
		r = copy_roles(g, e);
	return r < 0 ? r : copy_databases(g, e);
}

/* --- the end --- */

static cow_errno put_line(void *arg, const char *line)
{
	return fprintf(arg, "%s\n", line) < 0 ? -EIO : 0;
}

static cow_errno write_conf(struct golden_image *g, struct cow_error *e)
{
	struct pg_address at = golden_address(&g->run->masked, "postgres");
	struct pg_session *s = NULL;
	char path[PATH_MAX + 32];
	cow_errno r = cow_pg_open(&at, &s, e);
	FILE *f;

	snprintf(path, sizeof(path), "%s/postgresql.conf", g->server.branch.pgdata);
	f = r == 0 ? fopen(path, "ae") : NULL;
	if (r == 0 && !f)
		r = cow_fail(e, -errno, "cannot write %s: %s", path, strerror(errno));
	if (r == 0)
		fputs("\n# Taken over from the source of the golden image.\n", f);
	if (r == 0)
		r = cow_pg_settings(s, put_line, f, e);
	if (f && fclose(f) != 0 && r == 0)
		r = cow_fail(e, -EIO, "cannot write %s", path);
	cow_pg_close(s);
	return r;
}

/* Roles without passwords cannot be asked for one: whoever is on this machine may come in, the data
 * are masked. With passwords the rules of the source hold. */
static cow_errno write_hba(struct golden_image *g, struct cow_error *e)
{
	static const char open_to_all[] = "# TYPE DATABASE USER ADDRESS METHOD\n"
					  "local all all trust\n"
					  "host all all 127.0.0.0/8 trust\n"
					  "host all all ::1/128 trust\n";
	char from[PATH_MAX + 16], to[PATH_MAX + 16];
	CLEANUP_FREE char *text = NULL;
	size_t len = sizeof(open_to_all) - 1;
	CLEANUP_FD int fd = -1;
	cow_errno r;

	snprintf(from, sizeof(from), "%s/pg_hba.conf", g->run->masked.branch.pgdata);
	snprintf(to, sizeof(to), "%s/pg_hba.conf", g->server.branch.pgdata);
	if (g->run->conf->keep_passwords && access(from, R_OK) == 0) {
		text = calloc(1, 1 << 20);
		r = text ? cow_os_read_small(AT_FDCWD, from, text, 1 << 20) : -ENOMEM;
		if (r < 0)
			return cow_fail(e, r, "cannot read %s: %s", from, strerror(-r));
		len = strlen(text);
	}
	/* initdb made the file: owner and mode stay. */
	fd = open(to, O_WRONLY | O_TRUNC | O_CLOEXEC);
	r = fd < 0 ? -errno : cow_os_pwrite(fd, text ? text : open_to_all, len, 0);
	return r < 0 ? cow_fail(e, r, "cannot write %s: %s", to, strerror(-r)) : 0;
}

/* The WAL of the restore is only history: a clean cluster needs none of it. */
static cow_errno fresh_wal(struct golden_image *g, struct cow_error *e)
{
	const struct golden_client c = {
	    .on = &g->server, .program = "pg_resetwal", .args = {"-D", g->server.branch.pgdata}};
	struct cow_error why = COW_ERROR_INIT;
	cow_errno r = 0;

	for (int k = 0; k < 50; k++) {
		r = golden_client_run(&c, &why);
		if (r == 0)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	}
	*e = why;
	return cow_wrap(e, r, "make fresh WAL");
}

cow_errno golden_finish(struct golden_image *g, struct cow_error *e)
{
	char path[PATH_MAX + 32];
	bool renewed = g->run->carry.from[0]; /* it has both from the image before */
	cow_errno r = renewed ? 0 : write_conf(g, e);

	if (r == 0 && !renewed)
		r = write_hba(g, e);
	if (r == 0)
		r = golden_server_stop(g->run, &g->server, false, e);
	if (r == 0)
		r = fresh_wal(g, e);
	if (r < 0)
		return r;
	/* What says where and how it ran, and what it logged, is not part of an image. */
	snprintf(path, sizeof(path), "%s/postmaster.opts", g->server.branch.pgdata);
	unlink(path);
	unlink(g->server.branch.log);
	return 0;
}
