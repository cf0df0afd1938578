// SPDX-License-Identifier: Apache-2.0
/* holdback: how much the kernel may accept before the daemon has it.
 *
 * With a write-back cache write(2) succeeds before anybody asked whether there is room. How many
 * bytes that can be is the `max_bytes` of the mount's backing device (bdi) in /sys. The store's
 * data reserve covers it. If it may (root), the daemon lowers it: from the start on a host so small
 * that the reserve for all of it would be too large a part, and while room is scarce, so that
 * few writes are under way when the reserve is gone: each of them keeps a slot of the transport
 * until there is room, and reads need slots too. */
#pragma once
#include <stdint.h>

#include "store/store.h"

struct cow_holdback {
	char path[64]; /* of max_bytes; "" = cannot be read */
	uint64_t
	    bytes; /* what it is while there is plenty of room; a guess where it cannot be read */
	enum cow_room_state state;
};

/* Makes no path call on the mount itself. */
void cow_holdback_init(struct cow_holdback *h, const char *mountpoint);

/* Bytes of the limit while room is scarce. */
uint64_t cow_holdback_scarce(const struct cow_holdback *h);

/* Hold back at most `bytes` while there is plenty of room, and from now on. Does nothing where the
 * limit is lower, or cannot be set. */
void cow_holdback_limit(struct cow_holdback *h, uint64_t bytes);

/* Adapt the limit to the state of the room; PLENTY = whole. */
void cow_holdback_follow(struct cow_holdback *h, enum cow_room_state state);
