// SPDX-License-Identifier: Apache-2.0
/* A source that is a dump: a fresh cluster, the roles, pg_restore with several jobs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/golden/program.h"
#include "tools/golden/server.h"
#include "tools/golden/source.h"

/* What "pg_restore -l" says about the archive: its database, "" = not said. */
static cow_errno read_header(struct golden_run *run, const char *bindir, char *ret, size_t size,
			     struct cow_error *e)
{
	char program[PATH_MAX + 16], line[1024];
	const char *const argv[] = {program, "-l", run->conf->dump, NULL};
	int fd = memfd_create("contents", MFD_CLOEXEC);
	FILE *f;
	cow_errno r;

	if (fd < 0)
		return cow_fail(e, -errno, "no memory for a list: %s", strerror(errno));
	snprintf(program, sizeof(program), "%s/pg_restore", bindir);
	/* As we are: the dump may not be readable for the owner of the data. */
	r = program_run(&(struct program){.argv = argv, .in = -1, .out = fd}, e);
	ret[0] = '\0';
	lseek(fd, 0, SEEK_SET);
	f = fdopen(fd, "re");
	while (f && fgets(line, sizeof(line), f)) {
		char *name = strstr(line, "dbname: ");

		if (line[0] != ';')
			break;
		if (name)
			snprintf(ret, size, "%.*s", (int)strcspn(name + 8, "\n"), name + 8);
	}
	if (f)
		fclose(f);
	else
		close(fd);
	return r;
}

static cow_errno load_globals(struct golden_run *run, struct cow_error *e)
{
	const struct pgbranch *b = &run->import.branch;
	char program[PATH_MAX + 16], port[16];
	const char *const argv[] = {program, "-XqAt", "-h", b->socket_dir, "-p", port,
				    "-U",    b->user, "-d", "postgres",    "-f", run->conf->globals,
				    NULL};

	snprintf(program, sizeof(program), "%s/psql", b->bindir);
	snprintf(port, sizeof(port), "%d", b->port);
	/* Roles that are there already (the superuser) are no failure. */
	return program_run(&(struct program){.argv = argv, .in = -1, .out = -1, .secret = true}, e);
}

static void say_line(void *arg, const char *line)
{
	golden_say(arg, "%s", line);
}

static cow_errno restore(struct golden_run *run, const char *dbname, struct cow_error *e)
{
	const struct pgbranch *b = &run->import.branch;
	bool create = dbname[0] && strcmp(dbname, "postgres") != 0;
	char program[PATH_MAX + 16], port[16], jobs[16];
	const char *argv[24];
	size_t n = 0;

	snprintf(program, sizeof(program), "%s/pg_restore", b->bindir);
	snprintf(port, sizeof(port), "%d", b->port);
	snprintf(jobs, sizeof(jobs), "%u", run->conf->jobs);
	argv[n++] = program;
	argv[n++] = "-h";
	argv[n++] = b->socket_dir;
	argv[n++] = "-p";
	argv[n++] = port;
	argv[n++] = "-U";
	argv[n++] = b->user;
	argv[n++] = "-d";
	argv[n++] = "postgres";
	argv[n++] = "-j";
	argv[n++] = jobs;
	argv[n++] = "--exit-on-error";
	if (create)
		argv[n++] = "--create";
	/* Without the roles, all belongs to the superuser. */
	if (!run->conf->globals) {
		argv[n++] = "--no-owner";
		argv[n++] = "--no-privileges";
	}
	argv[n++] = "--no-tablespaces";
	argv[n++] = "--no-security-labels";
	argv[n++] = run->conf->dump;
	argv[n] = NULL;
	return program_run(
	    &(struct program){
		.argv = argv, .in = -1, .out = -1, .line = say_line, .arg = run, .secret = true},
	    e);
}

cow_errno golden_fetch_dump(struct golden_run *run, struct cow_error *e)
{
	const struct golden_conf *c = run->conf;
	const struct golden_initdb how = {.major = c->version,
					  .superuser = c->superuser ? c->superuser : c->owner};
	char dbname[128];
	struct stat st;
	cow_errno r = 0;

	if (stat(c->dump, &st) < 0)
		return cow_fail(e, -errno, "cannot find the dump %s: %s", c->dump, strerror(errno));
	r = golden_import_make(run, e);
	if (r == 0)
		r = golden_initdb(run, &how, &run->import, e);
	if (r == 0)
		r = golden_server_start(run, &run->import, NULL, e);
	if (r == 0)
		r = read_header(run, run->import.branch.bindir, dbname, sizeof(dbname), e);
	if (r == 0 && c->globals)
		r = load_globals(run, e);
	if (r == 0)
		r = restore(run, dbname, e);
	run->source_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	snprintf(run->source_text, sizeof(run->source_text), "dump %s", c->dump);
	return r;
}
