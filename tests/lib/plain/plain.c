// SPDX-License-Identifier: Apache-2.0
/* plain: runs the registered tests, each in a child, and prints TAP. See criterion/criterion.h. */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_SECONDS = 300 };

static struct plain_test *all;

void plain_add(struct plain_test *t)
{
	struct plain_test **at = &all;

	while (*at)
		at = &(*at)->next;
	*at = t;
}

void plain_fail(const char *file, int line, const char *what, const char *fmt, ...)
{
	va_list ap;

	printf("# %s:%d: not so: %s ", file, line, what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	_exit(1);
}

static struct plain_options options_of(const struct plain_test *t)
{
	struct plain_options o = t->options;

	for (const struct plain_test *s = all; s; s = s->next) {
		if (s->run || strcmp(s->suite, t->suite) != 0)
			continue;
		o.init = o.init ? o.init : s->options.init;
		o.fini = o.fini ? o.fini : s->options.fini;
		o.timeout = o.timeout > 0 ? o.timeout : s->options.timeout;
	}
	return o;
}

static int run_one(const struct plain_test *t)
{
	struct plain_options o = options_of(t);
	int status = 1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(o.timeout > 0 ? (unsigned)o.timeout : LIMIT_SECONDS);
		if (o.init)
			o.init();
		t->run();
		if (o.fini)
			o.fini();
		exit(0); /* not _exit: a sanitizer has the last word */
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	return status;
}

/* Options of Criterion's command line mean nothing here. */
int main(void)
{
	unsigned n = 0, failed = 0;

	for (const struct plain_test *t = all; t; t = t->next) {
		int status;

		if (!t->run)
			continue;
		status = run_one(t);
		if (status && WIFSIGNALED(status))
			printf("# ended by signal %d\n", WTERMSIG(status));
		printf("%s %u - %s::%s\n", status ? "not ok" : "ok", ++n, t->suite, t->name);
		failed += status != 0;
	}
	printf("1..%u\n", n);
	return failed ? 1 : 0;
}
