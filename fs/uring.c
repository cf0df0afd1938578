// SPDX-License-Identifier: Apache-2.0
/* uring: the way back to the thread of a ring.
 *
 * libfuse's ring thread waits in io_uring_submit_and_wait and nowhere else; the link wraps that
 * function
 * (-Wl,--wrap), so each wait begins with the answers that are due. The signal that ends a wait is
 * blocked everywhere but inside of it, so none is lost between the look and the wait. */
#include "fs/uring.h"

#ifdef COWFS_URING

#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/cleanup.h"

enum { WAKE_SIGNAL = SIGURG }; /* ignored by default, so one too many does no harm */

/* Lives until the thread and all work for it have ended. */
struct cow_ring {
	pthread_mutex_t lock; /* a leaf */
	pthread_t thread;
	bool gone;                       /* lock: the thread ended; its requests ended with it */
	unsigned refs;                   /* lock */
	STAILQ_HEAD(, cow_job) finished; /* lock */
	atomic_bool any;  /* something is in `finished`: looked at before each wait */
	sigset_t waiting; /* signals blocked during the wait */
};

/* libfuse makes these threads and gives them no place for data of ours. */
static pthread_key_t ring_key;
static pthread_once_t ring_key_once = PTHREAD_ONCE_INIT;

void cow_ring_unref(struct cow_ring *r)
{
	unsigned left;

	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	left = --r->refs;
	pthread_mutex_unlock(&r->lock);
	if (left == 0) {
		pthread_mutex_destroy(&r->lock);
		free(r);
	}
}

static void thread_ends(void *arg)
{
	struct cow_ring *r = arg;
	STAILQ_HEAD(, cow_job) due = STAILQ_HEAD_INITIALIZER(due);
	struct cow_job *j;

	pthread_mutex_lock(&r->lock);
	r->gone = true;
	STAILQ_CONCAT(&due, &r->finished);
	pthread_mutex_unlock(&r->lock);
	while ((j = STAILQ_FIRST(&due))) {
		STAILQ_REMOVE_HEAD(&due, next);
		cow_job_free(j);
	}
	cow_ring_unref(r);
}

static void on_wake(int sig)
{
}

static void make_key(void)
{
	struct sigaction sa = {.sa_handler = on_wake};

	pthread_key_create(&ring_key, thread_ends);
	sigemptyset(&sa.sa_mask);
	sigaction(WAKE_SIGNAL, &sa, NULL);
}

static struct cow_ring *ring_here(void)
{
	pthread_once(&ring_key_once, make_key);
	return pthread_getspecific(ring_key);
}

struct cow_ring *cow_ring_of_thread(void)
{
	struct cow_ring *r = ring_here();

	if (r) {
		WITH_LOCK(&r->lock);

		r->refs++;
	}
	return r;
}

/* libfuse ties each of these threads to its processor. A durable write then waits for that one to
 * wake up, though the disk's interrupt comes to another: on a machine at rest a third of its time.
 */
static void leave_processor(void)
{
	cpu_set_t all;

	if (sched_getaffinity(getpid(), sizeof(all), &all) == 0)
		sched_setaffinity(0, sizeof(all), &all);
}

static struct cow_ring *make_ring(void)
{
	struct cow_ring *r = calloc(1, sizeof(*r));
	sigset_t block;

	if (!r)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	STAILQ_INIT(&r->finished);
	r->thread = pthread_self();
	r->refs = 1;
	if (pthread_setspecific(ring_key, r) != 0) {
		cow_ring_unref(r);
		return NULL;
	}
	sigemptyset(&block);
	sigaddset(&block, WAKE_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &block, &r->waiting);
	sigdelset(&r->waiting, WAKE_SIGNAL);
	leave_processor();
	return r;
}

static void answer_finished(struct cow_ring *r)
{
	STAILQ_HEAD(, cow_job) due = STAILQ_HEAD_INITIALIZER(due);
	struct cow_job *j;

	if (!atomic_exchange(&r->any, false))
		return;
	pthread_mutex_lock(&r->lock);
	STAILQ_CONCAT(&due, &r->finished);
	pthread_mutex_unlock(&r->lock);
	while ((j = STAILQ_FIRST(&due))) {
		STAILQ_REMOVE_HEAD(&due, next);
		j->answer(j);
		cow_job_free(j);
	}
}

int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned wait_nr);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned wait_nr);

int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned wait_nr)
{
	struct cow_ring *r = ring_here();
	struct io_uring_cqe *cqe;
	int n;

	if (!r)
		r = make_ring();
	if (!r) /* no memory: this ring does its long work itself until there is some */
		return __real_io_uring_submit_and_wait(ring, wait_nr);
	answer_finished(r);
	/* Two steps: a call that submits and waits would swallow a signal that comes after its
	 * submission. */
	n = io_uring_submit(ring);
	return n < 0 ? n : io_uring_wait_cqes(ring, &cqe, wait_nr, NULL, &r->waiting);
}

void cow_ring_hand_back(struct cow_job *j)
{
	struct cow_ring *r = j->ring;
	bool gone;

	pthread_mutex_lock(&r->lock);
	gone = r->gone;
	if (!gone) {
		STAILQ_INSERT_TAIL(&r->finished, j, next);
		r->any = true;
		pthread_kill(r->thread, WAKE_SIGNAL);
	}
	pthread_mutex_unlock(&r->lock);
	if (gone)
		cow_job_free(j);
}

#else

struct cow_ring *cow_ring_of_thread(void)
{
	return NULL;
}

void cow_ring_unref(struct cow_ring *r)
{
}

void cow_ring_hand_back(struct cow_job *j)
{
	cow_job_free(j);
}

#endif
