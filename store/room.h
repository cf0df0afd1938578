// SPDX-License-Identifier: Apache-2.0
/* room: space on the host is promised before it is needed (DESIGN 5.1). Private to store/.
 *
 * The last part of the host's free space belongs to the map: RocksDB must be able to write its log,
 * its tables and every delete, or the store stops. The part before it is lent to what the kernel
 * already holds dirty, to WAL and to a shutdown checkpoint. So there are three states: plenty; low
 * (new branches, imports and fallocate get ENOSPC, which postgres reports as an ordinary error);
 * critical (only the map may grow: other writes wait, or fail). Free space is asked of the host at
 * most every few milliseconds; between two looks what was granted is subtracted. Other users of the
 * host's file system may still take what was promised. */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct cow_room {
	int dirfd;
	bool fail; /* answer ENOSPC where one could wait */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int64_t looked_ns; /* CLOCK_MONOTONIC; lock */
	int64_t left;      /* bytes before the map's own; lock */
	uint64_t for_map, for_data;
	uint64_t waiting; /* lock */
	int64_t told_ns;  /* when the log said it last; lock */
	bool closing;     /* lock */
};

enum cow_room_use {
	COW_ROOM_NEW, /* can be refused without harm: branches, imports, fallocate */
	COW_ROOM_DATA /* what somebody wrote */
};

void cow_room_init(struct cow_room *m, int dirfd, bool fail);

/* -ENOSPC: not now. Never waits. */
cow_errno cow_room_take(struct cow_room *m, enum cow_room_use use, uint64_t bytes);

/* After a refused COW_ROOM_DATA, with no lock held: 0 = try again, -ENOSPC = give up (`fail`, the
 * store closes, or `*gone` became true: nobody wants it any more). */
cow_errno cow_room_wait(struct cow_room *m, const _Atomic bool *gone);

void cow_room_close(struct cow_room *m); /* everybody who waits gives up */
enum cow_room_state cow_room_state(struct cow_room *m, uint64_t *ret_waiting);
