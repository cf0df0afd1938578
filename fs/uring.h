// SPDX-License-Identifier: Apache-2.0
/* uring: how a request over io_uring is answered later than its handler returns.
 *
 * libfuse has one thread for each core, which takes the requests of that core from a ring and
 * answers them. A handler that blocks there stalls the core, so long work goes to a pool (later.h).
 * But an answer must be given by the ring's own thread: the kernel runs the next request of that
 * slot in the context of the thread that gave the answer, so one given by a pool thread would make
 * a later request wait for that thread's next fsync; and libfuse's loop submits without its lock.
 * So the pool hands finished work back, wakes the ring's thread with a signal, and that thread
 * answers. With a libfuse without rings all of this does nothing. */
#pragma once
#include "fs/later.h"

struct cow_ring;

/* The ring that the calling thread serves, with a reference; NULL: none. */
struct cow_ring *cow_ring_of_thread(void);
void cow_ring_unref(struct cow_ring *r); /* NULL is fine */

/* Takes the job, whose work is done. When the ring has ended nobody waits for an answer. */
void cow_ring_hand_back(struct cow_job *j);
