// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/pg/pgserver.h"

#define SAID_BYTES 900u /* of the end of stderr, in an error */

/* In the child: never returns. Ends with its parent: what is left half done is not wanted. */
static void become(const struct program *p, int errors)
{
	struct cow_error e = COW_ERROR_INIT;
	int null = open("/dev/null", O_RDWR);
	pid_t parent = getppid();

	dup2(p->in >= 0 ? p->in : null, STDIN_FILENO);
	dup2(p->out >= 0 ? p->out : null, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	closefrom(3);
	signal(SIGPIPE, SIG_DFL);
	for (const char *const *v = p->env; v && *v; v++)
		putenv((char *)*v);
	/* The working directory may be closed to the owner of the data. */
	if ((p->as && pgserver_become_owner(p->as, &e) < 0) || chdir("/") < 0) {
		dprintf(STDERR_FILENO, "%s\n", e.text);
		_exit(126);
	}
	/* After the change of user, which clears it. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == parent)
		execvp(p->argv[0], (char *const *)p->argv);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", p->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

cow_errno program_start(const struct program *p, struct program_running *ret, struct cow_error *e)
{
	int ends[2];

	fflush(NULL);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return cow_fail(e, -errno, "cannot make a pipe: %s", strerror(errno));
	ret->pid = fork();
	if (ret->pid == 0)
		become(p, ends[1]);
	close(ends[1]);
	ret->errors = ends[0];
	if (ret->pid > 0)
		return 0;
	close(ends[0]);
	return cow_fail(e, -errno, "cannot start a process: %s", strerror(errno));
}

/* The end of what was said, in whole lines. */
struct said {
	char text[SAID_BYTES];
	size_t n;
};

static void remember(struct said *s, const char *line)
{
	size_t len = strlen(line);

	if (len > sizeof(s->text) / 2)
		len = sizeof(s->text) / 2;
	while (s->n + len + 2 > sizeof(s->text)) {
		const char *nl = memchr(s->text, '\n', s->n);
		size_t first = nl ? (size_t)(nl - s->text) + 1 : s->n;

		memmove(s->text, s->text + first, s->n -= first);
	}
	memcpy(s->text + s->n, line, len);
	s->n += len;
	s->text[s->n++] = '\n';
}

/* What a program of PostgreSQL says about originals, without them: of its own lines ("pg_restore:
 * error: ...") what comes before a value; none that go on with DETAIL, CONTEXT, LINE or the rest
 * of a value. False: nothing is left. */
static bool without_values(const char *name, char *line)
{
	static const char *const before[] = {": \"", "value \"", "LINE "};
	size_t len = strlen(name);
	char *error, *at;

	if (strncmp(line, name, len) != 0 || line[len] != ':')
		return false;
	error = strstr(line, "ERROR: ");
	for (size_t k = 0; error && k < sizeof(before) / sizeof(before[0]); k++)
		if ((at = strstr(error, before[k])))
			snprintf(at, sizeof("..."), "...");
	return true;
}

static const char *name_of(const struct program *p)
{
	const char *slash = strrchr(p->argv[0], '/');

	return slash ? slash + 1 : p->argv[0];
}

/* Lines end with \n, and those of a progress display with \r. */
static void listen_to(const struct program *p, int fd, struct said *s)
{
	FILE *f = fdopen(fd, "re");
	char line[1024];
	size_t n = 0;
	int c;

	if (!f) {
		close(fd);
		return;
	}
	do {
		c = getc(f);
		if (c != '\n' && c != '\r' && c != EOF) {
			if (n < sizeof(line) - 1)
				line[n++] = (char)c;
			continue;
		}
		line[n] = '\0';
		if (n && p->secret && !without_values(name_of(p), line))
			n = 0;
		if (n && p->line)
			p->line(p->arg, line);
		if (n && c != '\r')
			remember(s, line);
		n = 0;
	} while (c != EOF);
	fclose(f);
}

cow_errno program_wait(const struct program *p, struct program_running *r, struct cow_error *e)
{
	const char *name = name_of(p);
	struct said s = {.n = 0};
	int status;

	listen_to(p, r->errors, &s);
	while (waitpid(r->pid, &status, 0) < 0)
		if (errno != EINTR)
			return cow_fail(e, -errno, "lost sight of %s: %s", name, strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return cow_fail(e, -EINTR, "%s was ended by signal %d", name, WTERMSIG(status));
	while (s.n && s.text[s.n - 1] == '\n')
		s.n--;
	cow_fail(e, -EIO, "%s failed:\n%.*s", name, (int)s.n, s.text);
	return WEXITSTATUS(status) == 127 ? -ENOENT : -EIO;
}

cow_errno program_run(const struct program *p, struct cow_error *e)
{
	struct program_running running;
	cow_errno r = program_start(p, &running, e);

	return r < 0 ? r : program_wait(p, &running, e);
}
