// SPDX-License-Identifier: Apache-2.0
/* world: every point there is, at one moment. Private to store/.
 *
 * Taken under store.admin, so no seal and no branch operation is under way. Afterwards points may
 * go, and new ones come only at or past a lineage's head as recorded here, or at a point that is in
 * it: what the world calls garbage stays garbage. */
#pragma once
#include "store/needs.h"

struct cow_world_lineage {
	uint64_t id, parent, fork_epoch, head;
	bool has_branch; /* a branch, or one that was deleted and is kept, names it: its head is a
			    point */
	bool busy;       /* poisoned: leave it alone */
	bool lost;       /* ephemeral, and the machine went down: its head is not to be trusted */
};

struct cow_world {
	const char *boot;                  /* borrowed: this boot of the machine */
	struct cow_world_lineage *lineage; /* ascending id */
	size_t n;
	struct cow_point *point; /* named, forked over, or looked at */
	uint64_t *owner;         /* of each: branch id for a snapshot, else 0 */
	size_t n_points, cap_points;
	/* Of cow_world_look, while it is taken. */
	void (*damaged)(const uint8_t *key, size_t klen, void *arg);
	void *damaged_arg;
};

/* admin held. Also sees to it that no closed epoch without a point is used again for a new one.
 * -EIO: a record is damaged; whoever frees anything must stop then. */
cow_errno cow_world_take(struct cow_store *s, struct cow_world *ret);
/* The same for who only looks: a damaged record is told, and left out with what it stands for (a
 * lineage, a point, a head). `key` is that of the map: its type, then a name or numbers. */
cow_errno cow_world_look(struct cow_store *s, struct cow_world *ret,
			 void (*damaged)(const uint8_t *key, size_t klen, void *arg), void *arg);
void cow_world_release(struct cow_world *w);

struct cow_world_lineage *cow_world_find(const struct cow_world *w, uint64_t id);

/* The points of one lineage as cow_needs wants them; free with free(p->at). */
cow_errno cow_world_points(const struct cow_world *w, const struct cow_world_lineage *l,
			   struct cow_needs_points *ret);
