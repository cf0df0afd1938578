// SPDX-License-Identifier: Apache-2.0
/* summer: the thread that makes the sums of closed epochs in the background (sums.h).
 *
 * A lineage is looked at some time after one of its epochs was closed; blocks that have a sum are
 * not read again. It works a quarter of the time at most, and stops within one chunk when the store
 * closes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "store/sums.h"
#include "store/world.h"

enum { PAUSE_S = 5, REST = 3 /* times as long as the work took */ };

struct cow_summer {
	struct cow_store *s;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;     /* lock */
	uint64_t *due; /* lineages; lock */
	size_t n, cap;
};

/* One lineage under work. */
struct job {
	struct cow_summer *m;
	uint64_t lineage, head;
	uint64_t checked, made;
};

void cow_summer_want(struct cow_summer *m, uint64_t lineage)
{
	if (!m)
		return;
	WITH_LOCK(&m->lock);
	for (size_t k = 0; k < m->n; k++)
		if (m->due[k] == lineage)
			return;
	if (m->n == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 16;
		uint64_t *more = realloc(m->due, cap * sizeof(*more));

		if (!more)
			return; /* verify makes them if nobody else does */
		m->due = more;
		m->cap = cap;
	}
	m->due[m->n++] = lineage;
}

/* true = the store closes. */
static bool rest(struct cow_summer *m, struct timespec span)
{
	struct timespec until;
	WITH_LOCK(&m->lock);

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += span.tv_sec + (until.tv_nsec + span.tv_nsec) / 1000000000;
	until.tv_nsec = (until.tv_nsec + span.tv_nsec) % 1000000000;
	while (!m->stop && pthread_cond_clockwait(&m->wake, &m->lock, CLOCK_MONOTONIC, &until) == 0)
		;
	return m->stop;
}

/* A block that cannot be read has no sum; verify is the one to complain. */
static int pass_over(uint64_t block, cow_errno r, void *arg)
{
	return 0;
}

static int sum_chunk(uint64_t epoch, uint64_t ino, uint64_t chunk, const uint64_t bits[16],
		     void *arg)
{
	struct job *j = arg;
	struct timespec from, to;
	int64_t spent;
	int r;

	if (j->head && epoch >= j->head)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &from);
	r = cow_sums_make(j->m->s, (struct cow_point){j->lineage, epoch}, ino, chunk, bits,
			  pass_over, j, &j->made);
	clock_gettime(CLOCK_MONOTONIC, &to);
	spent = REST * ((to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec);
	if (r == 0 && rest(j->m, (struct timespec){spent / 1000000000, spent % 1000000000}))
		r = -ECANCELED;
	return r;
}

static int sum_lineage(struct cow_summer *m, uint64_t id)
{
	struct job j = {.m = m, .lineage = id};
	const struct cow_needs_sink sink = {.block = sum_chunk, .arg = &j};
	const struct cow_world_lineage *l;
	struct cow_needs_points p = {0};
	struct cow_world w;
	int r;

	pthread_mutex_lock(&m->s->admin);
	r = cow_world_take(m->s, &w);
	pthread_mutex_unlock(&m->s->admin);
	if (r < 0)
		return r;
	l = cow_world_find(&w, id);
	if (l) {
		j.head = l->has_branch ? l->head : 0;
		r = cow_world_points(&w, l, &p);
		if (r == 0)
			r = cow_needs(m->s, id, &p, &sink);
	}
	free(p.at);
	cow_world_release(&w);
	if (j.made)
		cow_log_debug("sums: %llu blocks of lineage %llu", (unsigned long long)j.made,
			      (unsigned long long)id);
	return r;
}

static bool take_due(struct cow_summer *m, uint64_t *ret)
{
	WITH_LOCK(&m->lock);

	if (m->n == 0)
		return false;
	*ret = m->due[0];
	memmove(m->due, m->due + 1, --m->n * sizeof(*m->due));
	return true;
}

static void *run(void *arg)
{
	struct cow_summer *m = arg;
	uint64_t id;
	int r;

	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 15);
	while (!rest(m, (struct timespec){.tv_sec = PAUSE_S})) {
		while (take_due(m, &id)) {
			r = sum_lineage(m, id);
			if (r == -ECANCELED)
				return NULL;
			if (r < 0)
				cow_log_warn("sums of lineage %llu: %s", (unsigned long long)id,
					     strerror(-r));
		}
	}
	return NULL;
}

cow_errno cow_summer_start(struct cow_store *s)
{
	struct cow_summer *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->s = s;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->wake, NULL);
	r = pthread_create(&m->thread, NULL, run, m);
	if (r) {
		free(m);
		return -r;
	}
	s->summer = m;
	return 0;
}

void cow_summer_stop(struct cow_store *s)
{
	struct cow_summer *m = TAKE_PTR(s->summer);

	if (!m)
		return;
	pthread_mutex_lock(&m->lock);
	m->stop = true;
	pthread_cond_signal(&m->wake);
	pthread_mutex_unlock(&m->lock);
	pthread_join(m->thread, NULL);
	free(m->due);
	free(m);
}
