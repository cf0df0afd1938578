// SPDX-License-Identifier: Apache-2.0
/* notify: a queue and its thread. Tickets are counted up, so a caller knows when its own is done.
 */
#include "fs/notify.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "store/cleanup.h"
#include "store/log.h"

struct note {
	STAILQ_ENTRY(note) next;
	uint64_t parent;
	char name[COW_NAME_MAX + 1];
};

struct cow_notifier {
	struct fuse_session *se;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, done;
	STAILQ_HEAD(, note) queue; /* lock, as all below */
	uint64_t queued, finished;
	bool stop, idle;
};

static void tell(struct cow_notifier *n, const struct note *t)
{
	int r = fuse_lowlevel_notify_inval_entry(n->se, t->parent, t->name, strlen(t->name));

	/* ENOENT: the kernel does not know the directory or the name, so there is nothing to
	 * forget. */
	if (r < 0 && r != -ENOENT)
		cow_log_warn("the kernel was not told that %s changed: %s", t->name, strerror(-r));
}

static void *run(void *arg)
{
	struct cow_notifier *n = arg;

	pthread_mutex_lock(&n->lock);
	while (!n->stop) {
		struct note *t = STAILQ_FIRST(&n->queue);

		if (!t) {
			pthread_cond_wait(&n->wake, &n->lock);
			continue;
		}
		STAILQ_REMOVE_HEAD(&n->queue, next);
		pthread_mutex_unlock(&n->lock);
		tell(n, t);
		free(t);
		pthread_mutex_lock(&n->lock);
		n->finished++;
		pthread_cond_broadcast(&n->done);
	}
	n->idle = true;
	pthread_cond_broadcast(&n->done);
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

cow_errno cow_notifier_start(struct fuse_session *se, struct cow_notifier **ret)
{
	struct cow_notifier *n = calloc(1, sizeof(*n));
	pthread_condattr_t monotonic;
	int r;

	if (!n)
		return -ENOMEM;
	n->se = se;
	STAILQ_INIT(&n->queue);
	pthread_mutex_init(&n->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&n->wake, NULL);
	pthread_cond_init(&n->done, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = pthread_create(&n->thread, NULL, run, n);
	if (r) {
		free(n);
		return -r;
	}
	*ret = n;
	return 0;
}

static struct timespec in_ms(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

void cow_notifier_entry(struct cow_notifier *n, uint64_t parent, const char *name, unsigned wait_ms)
{
	struct note *t = calloc(1, sizeof(*t));
	struct timespec until = in_ms(wait_ms);
	uint64_t mine;
	WITH_LOCK(&n->lock);

	if (!t || n->stop || strlen(name) > COW_NAME_MAX) {
		if (!n->stop)
			cow_log_error("the kernel was not told that %s changed", name);
		free(t);
		return;
	}
	t->parent = parent;
	memcpy(t->name, name, strlen(name) + 1);
	STAILQ_INSERT_TAIL(&n->queue, t, next);
	mine = ++n->queued;
	pthread_cond_signal(&n->wake);
	while (n->finished < mine && !n->stop)
		if (pthread_cond_timedwait(&n->done, &n->lock, &until) == ETIMEDOUT)
			return;
}

void cow_notifier_quiet(struct cow_notifier *n)
{
	enum { WAIT_MS = 1000 };
	struct timespec until = in_ms(WAIT_MS);

	if (!n)
		return;
	WITH_LOCK(&n->lock);

	n->stop = true;
	pthread_cond_broadcast(&n->wake);
	pthread_cond_broadcast(&n->done);
	while (!n->idle)
		if (pthread_cond_timedwait(&n->done, &n->lock, &until) == ETIMEDOUT)
			return;
}

void cow_notifier_end(struct cow_notifier *n)
{
	struct note *t;

	if (!n)
		return;
	cow_notifier_quiet(n);
	pthread_join(n->thread, NULL);
	while ((t = STAILQ_FIRST(&n->queue))) {
		STAILQ_REMOVE_HEAD(&n->queue, next);
		free(t);
	}
	pthread_mutex_destroy(&n->lock);
	pthread_cond_destroy(&n->wake);
	pthread_cond_destroy(&n->done);
	free(n);
}
