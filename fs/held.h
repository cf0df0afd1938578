// SPDX-License-Identifier: Apache-2.0
/* held: writes that wait for room on a full disk (DESIGN 5.1), and who asks before he writes
 * (gate.h).
 *
 * A held write is a job on a list: it holds no thread and no lock, only the kernel's own slot of a
 * request (how many there may be: holdback.h). One thread looks whenever the store says that
 * something changed, and a few times a second; what may be tried again goes to the pool, and comes
 * back here if it was in vain. One whose thread is about to be ended by a signal is
 * answered with EINTR, so that it can be; other signals do not touch it, because postgres takes a
 * state file that cannot be written, for whatever reason, as a PANIC. */
#pragma once
#include "fs/later.h"

struct cow_held;

/* Of a mounted session. -ENOMEM, -EAGAIN. */
cow_errno cow_held_start(struct cow_mount *m, struct cow_held **ret);

/* Takes the job, whose write the store answered with -EAGAIN, or which the gate stopped. */
void cow_held_add(struct cow_held *h, struct cow_job *j);

/* After cow_store_give_up: what is held goes to the pool, and fails there. NULL is fine. */
void cow_held_end(struct cow_held *h);
