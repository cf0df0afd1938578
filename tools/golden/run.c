// SPDX-License-Identifier: Apache-2.0
/* run: the frame of everything that fetches or copies what is not masked yet.
 *
 * The command forks: the child works, the parent waits and cleans up. So the private branches go
 * away when the work fails, is interrupted, crashes or runs out of memory. What is left is a kill
 * of both, or a power loss: the next refresh begins with cleaning up. */
#include "tools/golden/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/branch.h"
#include "store/cleanup.h"
#include "tools/daemon/wire.h"
#include "tools/golden/columns.h"
#include "tools/golden/server.h"
#include "tools/golden/source.h"

void golden_say(const struct golden_run *run, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (run->call->out.quiet)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* One write: lines of several threads do not mix. */
	fprintf(stderr, "golden: %s\n", text);
}

/* --- a run --- */

void golden_run_begin(struct golden_run *run, struct command_call *call,
		      const struct golden_conf *conf)
{
	struct timespec t;
	struct tm tm;

	*run = (struct golden_run){.call = call, .store = call->store, .conf = conf};
	clock_gettime(CLOCK_REALTIME, &t);
	run->started_ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	gmtime_r(&t.tv_sec, &tm);
	strftime(run->id, sizeof(run->id), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(run->prefix, sizeof(run->prefix), "%s-build", conf->name);
	run->report = json_object();
}

void golden_run_end(struct golden_run *run)
{
	golden_databases_free(run->databases, run->n_databases);
	json_decref(run->report);
}

/* Rules, and what is there; refuses when anything is undecided. */
cow_errno golden_run_decide(struct golden_run *run, struct cow_error *e)
{
	const struct pg_address at = golden_address(&run->import, NULL);
	struct golden_rules rules = {0};
	json_t *problems = NULL, *notes = NULL, *note;
	size_t k;
	cow_errno r = golden_rules_load(run->conf->rules, &rules, e);

	if (r == 0)
		r = golden_inventory(run->conf, &at, &rules, &run->databases, &run->n_databases, e);
	if (r == 0)
		r = golden_decide(run->conf, &rules, run->databases, run->n_databases, &problems,
				  &notes, e);
	json_array_foreach (notes, k, note)
		golden_say(run, "note: %s", json_string_value(note));
	if (r == 0 && json_array_size(problems) > 0) {
		r = golden_suggest(&at, problems, e);
		if (r == 0)
			r = golden_refuse(problems, e);
	}
	snprintf(run->rules_hash, sizeof(run->rules_hash), "%s", rules.hash);
	golden_rules_release(&rules);
	json_decref(problems);
	json_decref(notes);
	return r;
}

/* The masked branch is a child of the import as it is on the disk: its server stops for a moment.
 */
cow_errno golden_run_branch(struct golden_run *run, struct cow_error *e)
{
	char name[COW_BRANCH_MAX + 1];
	const struct golden_branch how = {
	    .name = golden_branch_name(run, GOLDEN_MASKED, name, sizeof(name)),
	    .purpose = "mask",
	    .parent = run->import.branch.name,
	    .ephemeral = true,
	};
	struct cow_pgconf_list read_only = {0};
	cow_errno r = golden_server_stop(run, &run->import, false, e);

	if (r == 0)
		r = golden_branch_make(run, &how, &run->masked, e);
	if (r == 0)
		r = golden_server_start(run, &run->masked, NULL, e);
	if (r == 0 && cow_pgconf_list_set(&read_only, "default_transaction_read_only", "on") < 0)
		r = cow_fail(e, -ENOMEM, "no memory for settings");
	if (r == 0)
		r = golden_server_start(run, &run->import, &read_only, e);
	cow_pgconf_list_release(&read_only);
	return r;
}

static volatile sig_atomic_t interrupted;
static volatile pid_t worker;

static void on_signal(int number)
{
	interrupted = number;
	if (worker > 0)
		kill(worker, SIGTERM);
}

static cow_errno read_answer(int fd, json_t **ret, struct cow_error *e)
{
	json_t *line = NULL, *result;
	struct wire w;
	cow_errno r;
	int got;

	wire_init(&w, fd, WIRE_ANSWER_MAX);
	do
		got = wire_read(&w, &line);
	while (got == -EINTR);
	wire_release(&w);
	if (got <= 0)
		return cow_fail(e, -EIO, "the refresh ended without an answer");
	result = json_object_get(line, "result");
	if (result)
		*ret = json_incref(result);
	r = result ? 0 : wire_error_read(json_object_get(line, "error"), e);
	json_decref(line);
	return r;
}

/* Run `run` in a child. */
cow_errno golden_run_apart(struct golden_run *run, void (*body)(struct golden_run *run, int out),
			   json_t **ret, struct cow_error *e)
{
	const struct sigaction ours = {.sa_handler = on_signal};
	struct sigaction old[3];
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	int ends[2], status;
	pid_t pid;
	cow_errno r;

	fflush(NULL);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return cow_fail(e, -errno, "cannot make a socket: %s", strerror(errno));
	interrupted = 0;
	for (int k = 0; k < 3; k++)
		sigaction(numbers[k], &ours, &old[k]);
	pid = fork();
	if (pid == 0) {
		for (int k = 0; k < 3; k++)
			signal(numbers[k], SIG_DFL);
		close(ends[0]);
		body(run, ends[1]);
	}
	worker = pid;
	close(ends[1]);
	r = pid < 0 ? cow_fail(e, -errno, "cannot start a process: %s", strerror(errno))
		    : read_answer(ends[0], ret, e);
	if (pid < 0)
		close(ends[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	worker = 0;
	if (interrupted)
		r = cow_fail(e, -EINTR, "the refresh was interrupted (signal %d)", interrupted);
	else if (r < 0 && pid > 0 && WIFSIGNALED(status))
		r = cow_fail(e, -EIO, "the refresh was ended by signal %d", WTERMSIG(status));
	/* Cleaning up is not interrupted. */
	for (int k = 0; k < 3; k++)
		sigaction(numbers[k], &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	golden_run_clean(run);
	for (int k = 0; k < 3; k++)
		sigaction(numbers[k], &old[k], NULL);
	return r;
}

/* --- before and after --- */

void golden_run_clean(struct golden_run *run)
{
	struct cow_error why = COW_ERROR_INIT;
	unsigned n = 0;

	if (golden_drop_all(run, &n, &why) < 0)
		fprintf(stderr, "cowfs: what the refresh made could not all be deleted: %s\n",
			why.text);
	/* Not only unreachable: given back. */
	if (n > 0 && command_ask(run->call, "gc", NULL, NULL) < 0)
		fprintf(stderr, "cowfs: gc after the refresh: %s\n", run->call->error.text);
}

/* STORE/golden/NAME.what; a name may have slashes, the folder is flat. */
void golden_own_file(const char *store, const char *name, const char *what, char *ret, size_t size)
{
	int n = snprintf(ret, size, "%s/golden/", store);

	snprintf(ret + n, size - (size_t)n, "%s.%s", name, what);
	for (char *p = ret + n; *p; p++)
		if (*p == '/')
			*p = '_';
}

cow_errno golden_run_lock(const struct golden_run *run, int *ret_fd, struct cow_error *e)
{
	char dir[PATH_MAX], path[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/golden", run->store);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return cow_fail(e, -errno, "cannot make %s: %s", dir, strerror(errno));
	golden_own_file(run->store, run->conf->name, "lock", path, sizeof(path));
	*ret_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*ret_fd < 0)
		return cow_fail(e, -errno, "cannot open %s: %s", path, strerror(errno));
	if (flock(*ret_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	close(*ret_fd);
	*ret_fd = -1;
	return cow_fail(e, -EBUSY, "another refresh of %s runs", run->conf->name);
}
