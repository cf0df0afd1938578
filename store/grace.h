// SPDX-License-Identifier: Apache-2.0
/* grace: nothing is freed under a reader (DESIGN 4.4, rule 8).
 *
 * A reader enters before it looks at the map and leaves after its last host read. cow_grace_wait
 * returns when every reader that entered before the call has left; readers that enter later see the
 * new map. Two counters that take turns (sleepable RCU): entering costs one atomic add and never
 * waits. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct cow_grace {
	_Atomic uint32_t turn;
	_Atomic uint64_t inside[2];
	pthread_mutex_t waiting; /* one waiter at a time */
};

void cow_grace_init(struct cow_grace *g);
unsigned cow_grace_enter(struct cow_grace *g); /* ticket for _leave */
void cow_grace_leave(struct cow_grace *g, unsigned ticket);
void cow_grace_wait(struct cow_grace *g); /* not from inside */
