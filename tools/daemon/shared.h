// SPDX-License-Identifier: Apache-2.0
/* shared: what the verbs on one open store have in common beside the store itself.
 *
 * Whoever opens the store has one, and gives it to every engine on it. Nothing of it is kept on the
 * disk. */
#pragma once
#include <pthread.h>
#include <stdbool.h>

/* Below 32768: there the kernel takes the ports of outgoing connections from, and one of those
 * would sit on the address of a branch whenever nobody listens there. */
#define PORT_FIRST 25432
#define PORT_LAST 29999
#define PORTS (PORT_LAST - PORT_FIRST + 1)

struct engine_shared {
	/* Of branch_port.c. Serialises choosing and keeping a port: two starts at once cannot
	 * choose the same one. */
	pthread_mutex_t port_choosing;
	struct {
		pthread_mutex_t lock; /* a leaf */
		bool known;           /* all branches were read; port_choosing */
		bool used[PORTS];     /* lock */
	} ports;

	/* Of verb_pool.c. Over reading the note, deciding, and writing it; and over choosing a
	 * member. Never while a branch is made: that takes long, and who takes a member has no
	 * time. */
	pthread_mutex_t pool_changing;
	/* Over choosing a number, and making the member that has it. */
	pthread_mutex_t pool_growing;
};

#define ENGINE_SHARED_INIT                                                                         \
	{                                                                                          \
		.port_choosing = PTHREAD_MUTEX_INITIALIZER,                                        \
		.ports.lock = PTHREAD_MUTEX_INITIALIZER,                                           \
		.pool_changing = PTHREAD_MUTEX_INITIALIZER,                                        \
		.pool_growing = PTHREAD_MUTEX_INITIALIZER,                                         \
	}
