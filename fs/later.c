// SPDX-License-Identifier: Apache-2.0
/* later: a queue and its threads. */
#include "fs/later.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/held.h"
#include "fs/uring.h"
#include "store/cleanup.h"

enum { POOL_THREADS = 16 };

struct cow_later {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	STAILQ_HEAD(, cow_job) jobs; /* lock, as below */
	bool stop;
	unsigned n_threads; /* of the thread that starts and ends it */
	pthread_t threads[POOL_THREADS];
};

struct cow_job *cow_job_new(fuse_req_t req, struct cow_inode *i)
{
	struct cow_job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->req = req;
	j->inode = cow_inode_ref(i);
	j->ring = cow_ring_of_thread();
	return j;
}

void cow_job_free(struct cow_job *j)
{
	cow_inode_put(j->inode);
	free(j->data);
	cow_ring_unref(j->ring);
	free(j);
}

static void *run(void *arg)
{
	struct cow_later *l = arg;
	struct cow_job *j;

	for (;;) {
		pthread_mutex_lock(&l->lock);
		while (!(j = STAILQ_FIRST(&l->jobs)) && !l->stop)
			pthread_cond_wait(&l->wake, &l->lock);
		if (j)
			STAILQ_REMOVE_HEAD(&l->jobs, next);
		pthread_mutex_unlock(&l->lock);
		if (!j)
			return NULL;
		j->work(j);
		if (j->result == -EAGAIN && j->held) {
			cow_held_add(j->held, j);
		} else if (j->ring) {
			cow_ring_hand_back(j);
		} else {
			j->answer(j);
			cow_job_free(j);
		}
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

void cow_later_do(struct cow_later *l, struct cow_job *j)
{
	WITH_LOCK(&l->lock);

	STAILQ_INSERT_TAIL(&l->jobs, j, next);
	pthread_cond_signal(&l->wake);
}
