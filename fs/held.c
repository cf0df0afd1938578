// SPDX-License-Identifier: Apache-2.0
/* held: the list and its thread. The same thread keeps the kernel's page cache small while room is
 * scarce (holdback.h) and moves the gate before it (gate.h; requests close it too): all follow the
 * state of the room. */
#include "fs/held.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/gate.h"
#include "fs/holdback.h"
#include "store/cleanup.h"

enum { LOOK_MS = 50, IDLE_MS = 1000 };

struct cow_held {
	struct cow_mount *m;
	struct cow_holdback holdback; /* of the thread */
	pthread_t thread;
	pthread_mutex_t lock;        /* a leaf */
	STAILQ_HEAD(, cow_job) jobs; /* lock */
	bool stop;                   /* lock */
};

static bool signal_is_in(const char *set, int sig)
{
	return strtoull(set, NULL, 16) >> (sig - 1) & 1;
}

/* Does a signal that ends it wait for the thread? SIGKILL is also what the kernel makes of every
 * signal without a handler that ends; SIGQUIT is how a postmaster ends its children at once. */
static bool is_ending(pid_t pid)
{
	char path[64], line[128];
	bool ending = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && !ending && fgets(line, sizeof(line), f))
		if (strncmp(line, "SigPnd:", 7) == 0 || strncmp(line, "ShdPnd:", 7) == 0)
			ending = signal_is_in(line + 7, SIGKILL) || signal_is_in(line + 7, SIGQUIT);
	if (f)
		fclose(f);
	return ending;
}

/* Is there a reason to try the write again, or to answer it? */
static bool is_due(struct cow_job *j)
{
	if (j->pid && is_ending(j->pid)) {
		j->result = -EINTR;
		return true;
	}
	return j->due(j);
}

/* true = some are still held. */
static bool look(struct cow_held *h)
{
	STAILQ_HEAD(, cow_job) all = STAILQ_HEAD_INITIALIZER(all);
	struct cow_job *j;
	bool left = false;

	pthread_mutex_lock(&h->lock);
	STAILQ_CONCAT(&all, &h->jobs);
	pthread_mutex_unlock(&h->lock);
	while ((j = STAILQ_FIRST(&all))) {
		STAILQ_REMOVE_HEAD(&all, next);
		if (is_due(j)) {
			cow_store_hold(h->m->store, false);
			cow_later_do(h->m->later, j);
			continue;
		}
		left = true;
		pthread_mutex_lock(&h->lock);
		STAILQ_INSERT_TAIL(&h->jobs, j, next);
		pthread_mutex_unlock(&h->lock);
	}
	return left;
}

static bool must_stop(struct cow_held *h)
{
	WITH_LOCK(&h->lock);

	return h->stop;
}

static void *run(void *arg)
{
	struct cow_held *h = arg;
	enum cow_room_state state = COW_ROOM_PLENTY;
	bool some = false;

	while (!must_stop(h)) {
		cow_store_room_await(h->m->store, &state, some ? LOOK_MS : IDLE_MS);
		cow_gate_follow(h->m);
		cow_holdback_follow(&h->holdback, state);
		some = look(h);
	}
	return NULL;
}

cow_errno cow_held_start(struct cow_mount *m, struct cow_held **ret)
{
	struct cow_held *h = calloc(1, sizeof(*h));
	sigset_t all, old;
	int r;

	if (!h)
		return -ENOMEM;
	h->m = m;
	pthread_mutex_init(&h->lock, NULL);
	STAILQ_INIT(&h->jobs);
	cow_holdback_init(&h->holdback, m->mountpoint);
	cow_holdback_limit(
	    &h->holdback,
	    cow_store_holdback(m->store, h->holdback.bytes,
			       m->writethrough ? 0 : cow_holdback_scarce(&h->holdback)));
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	r = pthread_create(&h->thread, NULL, run, h);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		pthread_mutex_destroy(&h->lock);
		free(h);
		return -r;
	}
	*ret = h;
	return 0;
}

void cow_held_add(struct cow_held *h, struct cow_job *j)
{
	cow_store_hold(h->m->store, true);
	pthread_mutex_lock(&h->lock);
	STAILQ_INSERT_TAIL(&h->jobs, j, next);
	pthread_mutex_unlock(&h->lock);
	cow_store_room_turn(h->m->store);
}

void cow_held_end(struct cow_held *h)
{
	struct cow_job *j;

	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_mutex_unlock(&h->lock);
	cow_store_room_turn(h->m->store);
	pthread_join(h->thread, NULL);
	while ((j = STAILQ_FIRST(&h->jobs))) {
		STAILQ_REMOVE_HEAD(&h->jobs, next);
		cow_store_hold(h->m->store, false);
		cow_later_do(h->m->later, j);
	}
	pthread_mutex_destroy(&h->lock);
	free(h);
}
