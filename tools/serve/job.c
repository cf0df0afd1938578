// SPDX-License-Identifier: Apache-2.0
#include "tools/serve/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "tools/daemon/wire.h"

struct serve_job {
	TAILQ_ENTRY(serve_job) link;
	struct serve *serve;
	struct event *read;
	struct evbuffer *answer;
	serve_done *done;
	void *arg;
	pid_t pid;
};

/* In the child; never returns. */
static void run(struct serve *s, serve_work *work, const char *name, int fd)
{
	static const int ours[] = {SIGTERM, SIGINT, SIGCHLD, SIGPIPE, SIGHUP};
	struct rlimit files = {.rlim_cur = 1024};
	struct cow_error e = COW_ERROR_INIT;
	json_t *result = NULL;
	sigset_t none;
	struct wire w;
	cow_errno r;

	/* Before any signal can come: the handlers would tell the loop of our parent. */
	for (size_t k = 0; k < sizeof(ours) / sizeof(ours[0]); k++)
		signal(ours[k], ours[k] == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fd != 3)
		dup2(fd, 3);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	closefrom(4);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = COW_MIN(files.rlim_max, (rlim_t)1024);
	setrlimit(RLIMIT_NOFILE, &files);
	wire_init(&w, 3, WIRE_ANSWER_MAX);
	r = work(s, name, &result, &e);
	wire_write(&w, r < 0 ? wire_error(r, &e)
			     : json_pack("{s:o}", "result", result ? result : json_object()));
	_exit(0);
}

static void finish(struct serve_job *j)
{
	size_t n = evbuffer_get_length(j->answer);
	json_t *line = json_loadb((const char *)evbuffer_pullup(j->answer, -1), n, 0, NULL);
	json_t *result = json_object_get(line, "result");
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r = 0;

	if (!line)
		r = cow_fail(&e, -ECHILD, "a child of cowfs serve ended without an answer");
	else if (!result)
		r = wire_error_read(json_object_get(line, "error"), &e);
	TAILQ_REMOVE(&j->serve->jobs, j, link);
	serve_unwatch(&j->read);
	evbuffer_free(j->answer);
	j->done(j->serve, j->arg, r, r < 0 ? NULL : result, &e);
	json_decref(line);
	free(j);
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct serve_job *j = arg;
	int n = evbuffer_read(j->answer, fd, 1 << 16);

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	finish(j);
}

static struct serve_job *job_new(struct serve *s, int fd, serve_done *done, void *arg)
{
	struct serve_job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	*j = (struct serve_job){.serve = s, .done = done, .arg = arg};
	j->answer = evbuffer_new();
	j->read = event_new(s->base, fd, EV_READ | EV_PERSIST, on_answer, j);
	if (j->answer && j->read)
		return j;
	if (j->answer)
		evbuffer_free(j->answer);
	if (j->read)
		event_free(j->read);
	free(j);
	return NULL;
}

void serve_job(struct serve *s, serve_work *work, const char *name, serve_done *done, void *arg)
{
	struct cow_error e = COW_ERROR_INIT;
	struct serve_job *j = NULL;
	sigset_t all, before;
	int ends[2];
	pid_t pid = -1;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0) {
		fcntl(ends[0], F_SETFL, O_NONBLOCK);
		j = job_new(s, ends[0], done, arg);
		fflush(NULL);
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, &before);
		pid = j ? fork() : -1;
		if (pid == 0)
			run(s, work, name, ends[1]);
		sigprocmask(SIG_SETMASK, &before, NULL);
		close(ends[1]);
	}
	if (pid > 0) {
		j->pid = pid;
		TAILQ_INSERT_TAIL(&s->jobs, j, link);
		event_add(j->read, NULL);
		return;
	}
	cow_fail(&e, -EAGAIN, "cannot make a child: %s", strerror(errno));
	if (j) {
		event_free(j->read);
		evbuffer_free(j->answer);
		free(j);
		close(ends[0]);
	}
	done(s, arg, -EAGAIN, NULL, &e);
}

void serve_job_reaped(struct serve *s, pid_t pid, int status)
{
	struct serve_job *j;

	/* Its answer comes through the pipe; this is only for the log. */
	TAILQ_FOREACH (j, &s->jobs, link) {
		if (j->pid == pid && WIFSIGNALED(status))
			cow_log_error("a child (pid %d) ended by signal %d", (int)pid,
				      WTERMSIG(status));
	}
}
