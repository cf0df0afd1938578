// SPDX-License-Identifier: Apache-2.0
/* ids: numbers that are never given twice.
 *
 * A range is reserved in the map before its first number is used, so after a crash at worst a range
 * is skipped. The reservation needs no sync: whatever uses a number is put into the map later, and
 * the map loses changes only from the end. */
#include <errno.h>

#include "store/cleanup.h"
#include "store/core.h"

enum { RANGE = 1024 };

static const char *const names[] = {
    [COW_ID_INO] = "next_ino",
    [COW_ID_LINEAGE] = "next_lineage",
    [COW_ID_BRANCH] = "next_branch",
    [COW_ID_INCARNATION] = "next_incarnation",
};

cow_errno cow_ids_load(struct cow_store *s)
{
	for (unsigned k = 0; k < 4; k++) {
		uint64_t v;
		cow_errno r = cow_meta_get(s, names[k], &v);

		if (r < 0)
			return r;
		s->id[k].next = s->id[k].reserved = v ? v : 1;
	}
	return 0;
}

/* Incarnations and branches are few and shown to people, so their ranges are of one. */
static uint64_t range_of(enum cow_id which)
{
	return which == COW_ID_INO ? RANGE : 1;
}

cow_errno cow_id_next(struct cow_store *s, enum cow_id which, uint64_t *ret)
{
	WITH_LOCK(&s->ids);

	if (s->id[which].next == s->id[which].reserved) {
		CLEANUP(cow_batch_release) struct cow_batch b = {0};
		cow_errno r;

		cow_meta_put(&b, names[which], s->id[which].reserved + range_of(which));
		if ((r = cow_kv_write(s->kv, &b, false)) < 0)
			return r;
		s->id[which].reserved += range_of(which);
	}
	*ret = s->id[which].next++;
	return 0;
}
