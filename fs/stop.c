// SPDX-License-Identifier: Apache-2.0
/* stop: the thread that ends the loop.
 *
 * libfuse's loop ends when a worker finds the mount gone, or when its main thread is interrupted by
 * a signal and then sees that the session shall exit. A signal that comes just before it sleeps is
 * lost, so it is sent until the loop is over. */
#include "fs/stop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/pushpages.h"
#include "store/log.h"

enum {
	PUSH_WAIT_MS = 10000,
	UNMOUNT_WAIT_MS = 5000,
	LOOP_WAIT_MS = 2000, /* for workers to see that the mount is gone */
	NUDGE_MS = 20,
	NUDGE_SIGNAL = SIGURG, /* ignored by default, so one too many does no harm */
};

struct cow_stopper {
	struct cow_mount *m;
	pthread_t thread;
	struct sigaction old_int, old_term, old_nudge;
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

void cow_stopper_wake(struct cow_mount *m)
{
	uint64_t one = 1;
	int saved = errno;
	ssize_t ignored = write(m->wake_fd, &one, sizeof(one));

	(void)ignored; /* a full counter is awake already */
	errno = saved;
}

/* True when the loop is over within the time. */
static bool wait_loop(struct cow_mount *m, int ms)
{
	struct pollfd p = {.fd = m->wake_fd, .events = POLLIN};
	uint64_t count;

	if (!m->loop_over && poll(&p, 1, ms) > 0 && read(m->wake_fd, &count, sizeof(count)) < 0)
		return m->loop_over;
	return m->loop_over;
}

static void unmount(struct cow_mount *m)
{
	cow_errno r = cow_helper_push(m->helper, PUSH_WAIT_MS);

	if (r < 0)
		cow_log_warn("%s: dirty pages were not pushed before the stop: %s", m->mountpoint,
			     strerror(-r));
	r = cow_helper_unmount(m->helper, UNMOUNT_WAIT_MS);
	if (r == 0 || r == -EINVAL)
		m->unmounted = true;
	else
		cow_log_warn("%s cannot be unmounted: %s", m->mountpoint, strerror(-r));
}

static void *run(void *arg)
{
	struct cow_mount *m = arg;

	while (!m->stop_asked && !m->loop_over)
		wait_loop(m, -1);
	if (m->loop_over)
		return NULL;
	cow_log_info("%s: stopping", m->mountpoint);
	unmount(m);
	if (m->unmounted && wait_loop(m, LOOP_WAIT_MS))
		return NULL;
	while (!m->loop_over) {
		fuse_session_exit(m->se);
		pthread_kill(m->loop_thread, NUDGE_SIGNAL);
		wait_loop(m, NUDGE_MS);
	}
	return NULL;
}

static void handle(int sig, void (*handler)(int), struct sigaction *old)
{
	struct sigaction sa = {.sa_handler = handler}; /* no SA_RESTART: it has to interrupt */

	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, old);
}

cow_errno cow_stopper_start(struct cow_mount *m, struct cow_stopper **ret)
{
	struct cow_stopper *s = calloc(1, sizeof(*s));
	sigset_t stop_signals, old;
	int r;

	if (!s)
		return -ENOMEM;
	s->m = m;
	signalled = m;
	handle(SIGINT, on_stop_signal, &s->old_int);
	handle(SIGTERM, on_stop_signal, &s->old_term);
	handle(NUDGE_SIGNAL, on_nudge, &s->old_nudge);
	sigfillset(&stop_signals);
	pthread_sigmask(SIG_BLOCK, &stop_signals, &old);
	r = pthread_create(&s->thread, NULL, run, m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		free(s);
		return -r;
	}
	*ret = s;
	return 0;
}

void cow_stopper_end(struct cow_stopper *s)
{
	struct cow_mount *m = s->m;

	m->loop_over = true;
	cow_stopper_wake(m);
	pthread_join(s->thread, NULL);
	signalled = NULL;
	sigaction(SIGINT, &s->old_int, NULL);
	sigaction(SIGTERM, &s->old_term, NULL);
	sigaction(NUDGE_SIGNAL, &s->old_nudge, NULL);
	free(s);
}
