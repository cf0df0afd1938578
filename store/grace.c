// SPDX-License-Identifier: Apache-2.0
#include "store/grace.h"

#include <time.h>

#include "store/cleanup.h"

void cow_grace_init(struct cow_grace *g)
{
	atomic_init(&g->turn, 0);
	atomic_init(&g->inside[0], 0);
	atomic_init(&g->inside[1], 0);
	pthread_mutex_init(&g->waiting, NULL);
}

unsigned cow_grace_enter(struct cow_grace *g)
{
	unsigned ticket = atomic_load(&g->turn) & 1;

	atomic_fetch_add(&g->inside[ticket], 1);
	return ticket;
}

void cow_grace_leave(struct cow_grace *g, unsigned ticket)
{
	atomic_fetch_sub(&g->inside[ticket], 1);
}

/* Twice, because a reader may have read `turn` just before it changed and counted itself after: it
 * is then in the counter that the second round waits for. */
void cow_grace_wait(struct cow_grace *g)
{
	const struct timespec nap = {.tv_nsec = 50000};
	WITH_LOCK(&g->waiting);

	for (int round = 0; round < 2; round++) {
		unsigned old = atomic_fetch_add(&g->turn, 1) & 1;

		while (atomic_load(&g->inside[old]) != 0)
			nanosleep(&nap, NULL);
	}
}
