// SPDX-License-Identifier: Apache-2.0
#include "tools/process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/pg/pgserver.h"

/* In the child: `fd` becomes number `as`. The wanted ones were moved above 2 before. */
static int place(int fd, int as)
{
	if (fd == PROCESS_INHERIT)
		return 0;
	if (fd == PROCESS_NULL)
		fd = open("/dev/null", as == STDIN_FILENO ? O_RDONLY : O_WRONLY);
	return fd < 0 ? -1 : dup2(fd, as);
}

/* So that placing one does not overwrite another. */
static int above(int fd)
{
	return fd >= 0 && fd <= STDERR_FILENO ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : fd;
}

static void become(const struct process *p)
{
	int in = above(p->in), out = above(p->out), err = above(p->err);
	struct cow_error e = COW_ERROR_INIT;

	if (place(in, STDIN_FILENO) < 0 || place(out, STDOUT_FILENO) < 0 ||
	    place(err, STDERR_FILENO) < 0)
		_exit(126);
	closefrom(3);
	/* This process ignores it; programs expect to be ended by it. */
	signal(SIGPIPE, SIG_DFL);
	for (const char *const *v = p->env; v && v[0]; v += 2)
		setenv(v[0], v[1], 1);
	if (p->owner_of && pgserver_become_owner(p->owner_of, &e) < 0) {
		dprintf(STDERR_FILENO, "cannot run %s: %s\n", p->argv[0], e.text);
		_exit(126);
	}
	execvp(p->argv[0], (char *const *)p->argv);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", p->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static volatile pid_t running;

pid_t process_running(void)
{
	return running;
}

/* A signal that came since the fork is for the program, not for our handlers. */
static void drop_handlers(void)
{
	struct sigaction was;

	for (int number = 1; number < SIGRTMIN; number++)
		if (sigaction(number, NULL, &was) == 0 && was.sa_handler != SIG_IGN &&
		    was.sa_handler != SIG_DFL)
			signal(number, SIG_DFL);
}

cow_errno process_start(const struct process *p, pid_t *ret_pid, struct cow_error *e)
{
	sigset_t all, before;
	int failed;

	fflush(NULL);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	if (p->stop && *p->stop) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		return cow_fail(e, -EINTR, "interrupted");
	}
	*ret_pid = fork();
	failed = errno;
	if (*ret_pid == 0) {
		drop_handlers();
		sigprocmask(SIG_SETMASK, &before, NULL);
		become(p);
	}
	running = *ret_pid > 0 ? *ret_pid : 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	return *ret_pid > 0
		   ? 0
		   : cow_fail(e, -failed, "cannot run %s: %s", p->argv[0], strerror(failed));
}

cow_errno process_wait(pid_t pid, int *ret_status, struct cow_error *e)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return cow_fail(e, -errno, "cannot wait for a program: %s",
					strerror(errno));
	if (running == pid)
		running = 0;
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

cow_errno process_run(const struct process *p, int *ret_status, struct cow_error *e)
{
	pid_t pid;
	cow_errno r = process_start(p, &pid, e);

	return r < 0 ? r : process_wait(pid, ret_status, e);
}

int process_memory(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC);
}

char *process_read(int fd, size_t *ret_len)
{
	struct stat st;
	size_t n = 0, size = fstat(fd, &st) == 0 ? (size_t)st.st_size : 0;
	char *buf = malloc(size + 1);
	ssize_t got;

	while (buf && n < size && (got = pread(fd, buf + n, size - n, (off_t)n)) > 0)
		n += (size_t)got;
	if (buf)
		buf[n] = '\0';
	if (ret_len)
		*ret_len = n;
	return buf;
}

void process_read_end(int fd, char *buf, size_t size)
{
	off_t end = lseek(fd, 0, SEEK_END),
	      from = end > (off_t)size - 1 ? end - (off_t)size + 1 : 0;
	ssize_t n = pread(fd, buf, size - 1, from);
	char *line;

	for (n = n < 0 ? 0 : n; n > 0 && buf[n - 1] == '\n';)
		n--;
	buf[n] = '\0';
	/* Not from the middle of a line. */
	line = from > 0 ? strchr(buf, '\n') : NULL;
	if (line)
		memmove(buf, line + 1, strlen(line + 1) + 1);
}
