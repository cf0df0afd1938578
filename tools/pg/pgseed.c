// SPDX-License-Identifier: Apache-2.0
/* pgseed: the --seed of branch create: the SQL of a file, run on a branch in one transaction. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/pg/pg.h"
#include "tools/pg/pgbranch.h"
#include "tools/serve/client.h"

#define START_MS 300000u
#define STOP_MS 60000u

/* In the child. The file is stdin: its owner may be the only one who can read it. */
static void run_psql(const struct pgbranch *b, int file, int errors)
{
	struct cow_error e = COW_ERROR_INIT;
	char port[16], program[PATH_MAX + 8];
	char *const argv[] = {program,
			      "-XqAt",
			      "-v",
			      "ON_ERROR_STOP=1",
			      "-1",
			      "-f",
			      "-",
			      "-h",
			      (char *)b->socket_dir,
			      "-p",
			      port,
			      "-U",
			      (char *)b->user,
			      "-d",
			      "postgres",
			      NULL};

	snprintf(port, sizeof(port), "%d", b->port);
	snprintf(program, sizeof(program), "%s/psql", b->bindir);
	dup2(file, STDIN_FILENO);
	dup2(errors, STDERR_FILENO);
	/* What the SQL selects is not our result. */
	dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
	closefrom(3);
	if (pgserver_become_owner(b->pgdata, &e) == 0)
		execv(program, argv);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", program,
		e.text[0] ? e.text : strerror(errno));
	_exit(126);
}

/* Notices may come before it: the error is the last thing psql says, with at most a few lines of
 * context. */
static void collect(int fd, char *buf, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, buf + n, size - 1 - n)) > 0) {
		n += (size_t)got;
		if (n > size / 2 && n == size - 1) {
			memmove(buf, buf + size / 2, n - size / 2);
			n -= size / 2;
		}
	}
	while (n && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
}

static cow_errno feed(const struct pgbranch *b, const char *file, struct cow_error *e)
{
	CLEANUP_FD int in = open(file, O_RDONLY | O_CLOEXEC);
	int pipe_fd[2], status = 0;
	char said[800];
	pid_t pid;

	if (in < 0)
		return cow_fail(e, -errno, "cannot read %s: %s", file, strerror(errno));
	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return cow_fail(e, -errno, "cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		run_psql(b, in, pipe_fd[1]);
	close(pipe_fd[1]);
	if (pid > 0)
		collect(pipe_fd[0], said, sizeof(said));
	close(pipe_fd[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return cow_fail(e, -errno, "cannot run psql: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return cow_fail(e, -EINVAL, "the SQL of %s failed, nothing of it was kept:\n%s", file,
			said);
}

cow_errno pg_seed(struct command_call *call, const char *branch, const char *file)
{
	struct cow_pgconf_list none = {0};
	struct cow_error stopping = COW_ERROR_INIT;
	struct pgbranch b;
	bool was, started = false;
	cow_errno r;

	if (access(file, R_OK) < 0)
		return cow_fail(&call->error, -errno, "cannot read %s: %s", file, strerror(errno));
	r = pgbranch_find(call, branch, (struct pgbranch_port){.choose = true}, &b);
	if (r == 0)
		r = pgbranch_find_programs(&b, NULL, &call->error);
	/* Behind a proxy, connecting starts it, and leaving lets it fall asleep. */
	if (r == 0 && !b.state.running && !serve_runs(call->store)) {
		r = pgbranch_start(&b, &none, START_MS, &call->error);
		started = r == 0;
	}
	if (r == 0)
		r = feed(&b, file, &call->error);
	if (started && pgserver_stop(b.pgdata, PGSERVER_FAST, STOP_MS, &was, &stopping) < 0 &&
	    r == 0) {
		call->error = stopping;
		r = -ETIMEDOUT;
	}
	return r;
}
