// SPDX-License-Identifier: Apache-2.0
/* serve: libfuse's loop ends when a worker finds the mount gone, or when its thread is interrupted
 * by a signal and then sees that the session shall exit. A signal that comes just before it sleeps
 * is lost, so it is sent until the loop is over. */
#include "fs/serve.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "fs/transport.h"

enum {
	NUDGE_MS = 20,
	NUDGE_SIGNAL = SIGURG, /* ignored by default, so one too many does no harm */
};

/* A signal handler gets no argument; this is the only way to it. */
static _Atomic(struct cow_mount *) signalled;

static void on_stop_signal(int sig)
{
	struct cow_mount *m = signalled;

	if (m)
		cow_mount_ask_stop(m);
}

static void on_nudge(int sig)
{
}

static void handle(int sig, void (*handler)(int), struct sigaction *old)
{
	struct sigaction sa = {.sa_handler = handler}; /* no SA_RESTART: it has to interrupt */

	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, old);
}

static void *run(void *arg)
{
	struct cow_mount *m = arg;

	m->loop_result = cow_transport_loop(m);
	m->loop_over = true;
	cow_serve_wake(m);
	return NULL;
}

cow_errno cow_serve_start(struct cow_mount *m)
{
	sigset_t block, old;
	int r;

	if (m->loop_runs)
		return 0;
	handle(NUDGE_SIGNAL, on_nudge, NULL);
	/* Signals that ask for a stop are for the thread that waits. */
	sigfillset(&block);
	sigdelset(&block, NUDGE_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	r = pthread_create(&m->loop_thread, NULL, run, m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	m->loop_runs = r == 0;
	return -r;
}

void cow_serve_wake(struct cow_mount *m)
{
	uint64_t one = 1;
	int saved = errno;
	ssize_t ignored = write(m->wake_fd, &one, sizeof(one));

	(void)ignored; /* a full counter is awake already */
	errno = saved;
}

/* Until something was written to the eventfd, at most `ms` (-1 = for ever). */
static void sleep_until_woken(struct cow_mount *m, int ms)
{
	struct pollfd p = {.fd = m->wake_fd, .events = POLLIN};
	uint64_t count;

	if (poll(&p, 1, ms) > 0 && read(m->wake_fd, &count, sizeof(count)) < 0)
		return; /* somebody else looks, too */
}

void cow_serve_wait(struct cow_mount *m)
{
	struct sigaction old_int, old_term;

	signalled = m;
	handle(SIGINT, on_stop_signal, &old_int);
	handle(SIGTERM, on_stop_signal, &old_term);
	while (!m->stop_asked && !m->loop_over)
		sleep_until_woken(m, -1);
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	signalled = NULL;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool cow_serve_over(struct cow_mount *m, unsigned ms)
{
	int64_t end = now_ms() + ms, left;

	while (!m->loop_over && (left = end - now_ms()) > 0)
		sleep_until_woken(m, (int)left);
	return m->loop_over;
}

cow_errno cow_serve_end(struct cow_mount *m)
{
	if (!m->loop_runs)
		return 0;
	while (!m->loop_over) {
		fuse_session_exit(m->se);
		pthread_kill(m->loop_thread, NUDGE_SIGNAL);
		sleep_until_woken(m, NUDGE_MS);
	}
	pthread_join(m->loop_thread, NULL);
	m->loop_runs = false;
	return m->loop_result;
}
