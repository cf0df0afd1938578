// SPDX-License-Identifier: Apache-2.0
/* uring: a pool for long work, and the way back to the thread of the ring.
 *
 * libfuse's ring thread waits in io_uring_submit_and_wait and nowhere else; the link wraps that
 * function
 * (-Wl,--wrap), so each wait begins with the answers that are due. The signal that ends a wait is
 * blocked everywhere but inside of it, so none is lost between the look and the wait.
 *
 * Lock order: pool.lock and queue.lock are leaves, never held together. */
#include "fs/uring.h"

#ifdef COWFS_URING

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "store/cleanup.h"
#include "store/log.h"

enum {
	POOL_THREADS = 4,
	WAKE_SIGNAL = SIGURG, /* ignored by default, so one too many does no harm */
};

/* One thread of a ring. It lives until the thread and all work for it have ended. */
struct queue {
	pthread_mutex_t lock;
	pthread_t thread;
	bool gone;                   /* lock: the thread ended; its requests ended with it */
	unsigned refs;               /* lock */
	STAILQ_HEAD(, job) finished; /* lock */
	atomic_bool any;             /* something is in `finished`: looked at before each wait */
	sigset_t waiting;            /* signals blocked during the wait */
};

struct job {
	STAILQ_ENTRY(job) next;
	struct queue *queue;
	fuse_req_t req;
	struct cow_inode *inode;
	bool datasync;
	cow_errno result;
};

struct cow_later {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	STAILQ_HEAD(, job) jobs; /* lock, as below */
	bool stop;
	unsigned n_threads;
	pthread_t threads[POOL_THREADS];
};

/* --- the thread of a ring --- */

/* libfuse makes these threads and gives them no place for data of ours. */
static pthread_key_t queue_key;
static pthread_once_t queue_key_once = PTHREAD_ONCE_INIT;

static void queue_unref(struct queue *q)
{
	unsigned left;

	pthread_mutex_lock(&q->lock);
	left = --q->refs;
	pthread_mutex_unlock(&q->lock);
	if (left == 0) {
		pthread_mutex_destroy(&q->lock);
		free(q);
	}
}

static void job_free(struct job *j)
{
	cow_inode_put(j->inode);
	queue_unref(j->queue);
	free(j);
}

static void thread_ends(void *arg)
{
	struct queue *q = arg;

	pthread_mutex_lock(&q->lock);
	q->gone = true;
	pthread_mutex_unlock(&q->lock);
	queue_unref(q);
}

static void on_wake(int sig)
{
}

static void make_key(void)
{
	struct sigaction sa = {.sa_handler = on_wake};

	pthread_key_create(&queue_key, thread_ends);
	sigemptyset(&sa.sa_mask);
	sigaction(WAKE_SIGNAL, &sa, NULL);
}

static struct queue *queue_of_thread(void)
{
	pthread_once(&queue_key_once, make_key);
	return pthread_getspecific(queue_key);
}

static struct queue *make_queue(void)
{
	struct queue *q = calloc(1, sizeof(*q));
	sigset_t block;

	if (!q)
		return NULL; /* this ring does its long work itself */
	pthread_mutex_init(&q->lock, NULL);
	STAILQ_INIT(&q->finished);
	q->thread = pthread_self();
	q->refs = 1;
	sigemptyset(&block);
	sigaddset(&block, WAKE_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &block, &q->waiting);
	sigdelset(&q->waiting, WAKE_SIGNAL);
	if (pthread_setspecific(queue_key, q) != 0) {
		queue_unref(q);
		return NULL;
	}
	return q;
}

static void answer_finished(struct queue *q)
{
	STAILQ_HEAD(, job) due = STAILQ_HEAD_INITIALIZER(due);
	struct job *j;

	if (!atomic_exchange(&q->any, false))
		return;
	pthread_mutex_lock(&q->lock);
	STAILQ_CONCAT(&due, &q->finished);
	pthread_mutex_unlock(&q->lock);
	while ((j = STAILQ_FIRST(&due))) {
		STAILQ_REMOVE_HEAD(&due, next);
		cow_reply(j->req, j->result);
		job_free(j);
	}
}

int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned wait_nr);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned wait_nr);

int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned wait_nr)
{
	struct queue *q = queue_of_thread();
	struct io_uring_cqe *cqe;

	if (!q)
		q = make_queue();
	if (!q)
		return __real_io_uring_submit_and_wait(ring, wait_nr);
	answer_finished(q);
	return io_uring_submit_and_wait_timeout(ring, &cqe, wait_nr, NULL, &q->waiting);
}

/* --- the pool --- */

static void hand_back(struct job *j)
{
	struct queue *q = j->queue;
	bool gone;

	pthread_mutex_lock(&q->lock);
	gone = q->gone;
	if (!gone) {
		STAILQ_INSERT_TAIL(&q->finished, j, next);
		q->any = true;
		pthread_kill(q->thread, WAKE_SIGNAL);
	}
	pthread_mutex_unlock(&q->lock);
	if (gone)
		job_free(j); /* the connection is over: nobody waits for an answer */
}

static void *run(void *arg)
{
	struct cow_later *l = arg;
	struct job *j;

	for (;;) {
		pthread_mutex_lock(&l->lock);
		while (!(j = STAILQ_FIRST(&l->jobs)) && !l->stop)
			pthread_cond_wait(&l->wake, &l->lock);
		if (j)
			STAILQ_REMOVE_HEAD(&l->jobs, next);
		pthread_mutex_unlock(&l->lock);
		if (!j)
			return NULL;
		j->result = cow_file_sync(j->inode, j->datasync);
		hand_back(j);
	}
}

cow_errno cow_later_start(struct cow_later **ret)
{
	struct cow_later *l = calloc(1, sizeof(*l));
	sigset_t all, old;
	int r = 0;

	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->wake, NULL);
	STAILQ_INIT(&l->jobs);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	while (r == 0 && l->n_threads < POOL_THREADS) {
		r = pthread_create(&l->threads[l->n_threads], NULL, run, l);
		if (r == 0)
			l->n_threads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		cow_later_end(l);
		return -r;
	}
	*ret = l;
	return 0;
}

void cow_later_end(struct cow_later *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_broadcast(&l->wake);
	pthread_mutex_unlock(&l->lock);
	for (unsigned i = 0; i < l->n_threads; i++)
		pthread_join(l->threads[i], NULL);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->wake);
	free(l);
}

bool cow_later_sync(struct cow_later *l, fuse_req_t req, struct cow_inode *i, bool datasync)
{
	struct queue *q = queue_of_thread();
	struct job *j = q ? calloc(1, sizeof(*j)) : NULL;

	if (!j)
		return false;
	*j = (struct job){.queue = q, .req = req, .inode = cow_inode_ref(i), .datasync = datasync};
	pthread_mutex_lock(&q->lock);
	q->refs++;
	pthread_mutex_unlock(&q->lock);
	pthread_mutex_lock(&l->lock);
	STAILQ_INSERT_TAIL(&l->jobs, j, next);
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	return true;
}

#else /* the system's libfuse: there are no rings */

cow_errno cow_later_start(struct cow_later **ret)
{
	*ret = NULL;
	return 0;
}

void cow_later_end(struct cow_later *l)
{
}

bool cow_later_sync(struct cow_later *l, fuse_req_t req, struct cow_inode *i, bool datasync)
{
	return false;
}

#endif
