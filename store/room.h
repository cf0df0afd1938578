// SPDX-License-Identifier: Apache-2.0
/* room: space on the host is promised before it is needed (DESIGN 5.1). Private to store/.
 *
 * Two files of the store hold space back: `reserve.map` for the map (RocksDB must be able to write
 * its log, its tables and every delete, or the store stops) and `reserve.data` for what was already
 * accepted (pages the kernel holds dirty, WAL, a shutdown checkpoint). A reserve is given to the
 * host's file system by cutting it shorter, and grows again when there is room. Besides them a
 * little of the host's space, the headroom, is left free by everything that goes through here, so
 * that the map finds some at any moment.
 *
 *   plenty     more is free than the mark
 *   low        less, and the reserves are whole: what can be refused without harm is refused
 *   critical   the data reserve is in use; once it is gone, writes wait, or fail
 *
 * The last of the data reserve is kept for what a cache above has accepted already: whoever writes
 * into that cache and is made to wait by it may hold a lock that readers need, so what is in it
 * must always find room. Therefore the cache is asked to accept less before everybody else has to
 * wait (the gate), and nothing at all once only that rest is left.
 *
 * Data never draws on the map's reserve: while that is not whole, the free space it lacks counts as
 * taken. A reserve that was never made (a command without a daemon, a host without fallocate) is
 * therefore kept as a mere threshold on the free space. Free space is asked of the host at most
 * every few milliseconds; between two looks what was granted is subtracted. */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct cow_reserve {
	int fd;         /* -1: not made */
	uint64_t whole; /* bytes it should have */
	uint64_t has;   /* bytes of the host it holds; room.lock */
};

struct cow_room {
	int dirfd;
	bool fail;  /* answer ENOSPC where one could wait */
	bool keeps; /* reserves are made, and grow again */
	/* The host writes what is overwritten somewhere else first (btrfs). */
	bool counts_overwrites;
	uint64_t headroom, mark;
	_Atomic enum cow_gate gate; /* changed under lock */
	_Atomic uint64_t accepted;  /* bytes taken as COW_ROOM_ACCEPTED while it was not open */
	_Atomic uint32_t gatings;   /* how often it was no longer open; changed under lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* lock, as all below: */
	int64_t looked_ns; /* CLOCK_MONOTONIC */
	int64_t left;      /* free bytes before the headroom */
	struct cow_reserve map, data;
	/* Of what is left with all of the data reserve: the rest that only COW_ROOM_ACCEPTED may
	 * use, and where the gate begins to close. 0: there is no cache above. */
	uint64_t kept, narrow;
	uint64_t waiting;
	enum cow_room_state state;      /* as of the last look */
	enum cow_room_state told_state; /* what the log said last */
	int64_t told_ns;                /* when it said that writes wait */
	uint64_t turns;                 /* counts whatever somebody who waits should look at */
	bool closing;
};

enum cow_room_use {
	COW_ROOM_NEW,     /* can be refused without harm: branches, imports, fallocate */
	COW_ROOM_BOUND,   /* whose writer takes a refusal well: never of the reserve */
	COW_ROOM_DATA,    /* what somebody wrote */
	COW_ROOM_ACCEPTED /* the same, from a cache that has told its writer that it is done */
};

/* `keeps`: make the reserves now as far as there is room, and keep them. Else those that another
 * process made are used as they are. Never fails: without reserves there are thresholds. */
void cow_room_init(struct cow_room *m, int dirfd, bool fail, bool keeps);
void cow_room_release(struct cow_room *m);

/* What a cache above the store may still hold back, and what it will at most while room is scarce:
 * the data reserve grows to the first and more, and keeps the second and more for it. Returns what
 * it should hold back at most while there is plenty: less than `bytes` where the host is small, so
 * that all of it, and as much again that it accepts until it knows (64 MiB at most), fits between
 * the first warning and the closing of the gate. */
uint64_t cow_room_holdback(struct cow_room *m, uint64_t bytes, uint64_t scarce);

/* -ENOSPC: not now. Never waits; may give a piece of the data reserve to the host. */
cow_errno cow_room_take(struct cow_room *m, enum cow_room_use use, uint64_t bytes);

/* The host answered ENOSPC although there should have been room (somebody else took it, or its file
 * system counts in another way): true = a piece of the data reserve was given back, try again. */
bool cow_room_give(struct cow_room *m, enum cow_room_use use);

/* Would a take be granted? Takes nothing. */
bool cow_room_has(struct cow_room *m, enum cow_room_use use, uint64_t bytes);

/* After a refused COW_ROOM_DATA or _ACCEPTED: would it wait, or is the answer ENOSPC (`fail`, the
 * store closes, or `gone`: nobody wants it any more)? */
bool cow_room_waits(struct cow_room *m, bool gone);

/* The same and wait, with no lock held: 0 = try again, -ENOSPC. */
cow_errno cow_room_wait(struct cow_room *m, const _Atomic bool *gone);

/* Somebody waits elsewhere, or does no more: counted as waiting. */
void cow_room_hold(struct cow_room *m, bool on);

/* Until the state is another than `*state`, or there was a turn; at most `ms`. *state is set to
 * that of now. */
void cow_room_await(struct cow_room *m, enum cow_room_state *state, unsigned ms);

/* Space was freed, or somebody gave up: everybody who waits looks again. */
void cow_room_turn(struct cow_room *m);

/* Regularly: the map's headroom is kept, reserves grow again, the log hears of changes. */
void cow_room_tend(struct cow_room *m);

void cow_room_close(struct cow_room *m); /* everybody who waits gives up */
void cow_room_stat(struct cow_room *m, struct cow_room_stat *ret);
