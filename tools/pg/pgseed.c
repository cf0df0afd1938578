// SPDX-License-Identifier: Apache-2.0
/* pgseed: the --seed of branch create: the SQL of a file, run on a branch in one transaction. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/pg/pg.h"
#include "tools/pg/pgvisit.h"
#include "tools/process/process.h"

/* "-" is our own stdin. */
static int open_file(const char *file)
{
	return strcmp(file, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
				      : open(file, O_RDONLY | O_CLOEXEC);
}

/* The file is stdin: its owner may be the only one who can read it. */
static cow_errno feed(const struct pgbranch *b, int in, const char *file,
		      const volatile sig_atomic_t *stop, struct cow_error *e)
{
	char port[16], program[PATH_MAX + 8], said[800];
	const char *const argv[] = {
	    program, "-XqAt", "-v", "ON_ERROR_STOP=1", "-1", "-f",       "-", "-h", b->socket_dir,
	    "-p",    port,    "-U", b->user,           "-d", "postgres", NULL};
	CLEANUP_FD int err = process_memory("errors");
	/* What the SQL selects is not our result. */
	const struct process p = {.argv = argv,
				  .in = in,
				  .out = PROCESS_NULL,
				  .err = err,
				  .owner_of = b->pgdata,
				  .stop = stop};
	int status = 0;
	cow_errno r;

	snprintf(port, sizeof(port), "%d", b->port);
	snprintf(program, sizeof(program), "%s/psql", b->bindir);
	r = process_run(&p, &status, e);
	if (r < 0 || status == 0)
		return r;
	/* Notices may come before it: the error is the last thing psql says. */
	process_read_end(err, said, sizeof(said));
	return cow_fail(e, -EINVAL, "the SQL of %s failed, no branch was made:\n%s", file, said);
}

cow_errno pg_seed(struct command_call *call, const char *branch, const char *file,
		  const volatile sig_atomic_t *stop)
{
	CLEANUP_FD int in = open_file(file);
	struct pgvisit v;
	cow_errno r;

	if (in < 0)
		return cow_fail(&call->error, -errno, "cannot read %s: %s", file, strerror(errno));
	r = pgvisit_begin(call, branch, &v);
	if (r < 0)
		return r;
	return pgvisit_end(call, &v, feed(&v.branch, in, file, stop, &call->error));
}
