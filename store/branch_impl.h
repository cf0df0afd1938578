// SPDX-License-Identifier: Apache-2.0
/* branch_impl: what the files of branch operations share. Private to store/. All under store.admin.
 */
#pragma once
#include "store/branch.h"
#include "store/core.h"

void cow_branch_put(struct cow_batch *b, const char *name, const struct cow_branch_rec *v);
/* New settings of a record that will be put; `edit` NULL = they stay. */
cow_errno cow_branch_edit_record(struct cow_branch_rec *b, cow_branch_edit_fn *edit, void *arg,
				 struct cow_error *e);
/* Tell the watcher; without locks. */
void cow_branch_tell(struct cow_store *s, const char *name);
cow_errno cow_branch_must_be_free(struct cow_store *s, const char *name, struct cow_error *e);

/* -EBUSY files of it are open. */
cow_errno cow_branch_must_be_closed(struct cow_store *s, const char *name,
				    const struct cow_branch_rec *b, struct cow_error *e);
/* What was written to an incarnation that is about to go, but belongs to a lineage that stays. */
cow_errno cow_branch_keep_written(struct cow_store *s, uint64_t incarnation);
/* Whoever holds the old incarnation finds it stale from here on. */
void cow_branch_retire(struct cow_store *s, uint64_t incarnation);

struct cow_branch_grow {
	struct cow_point at; /* lineage 0: over nothing, then `empty` says the root */
	const struct cow_branch_create *empty;
	bool ephemeral;
	cow_errno (*prepare)(struct cow_live *fresh, void *arg, struct cow_error *e);
	void *arg;
};
/* A prepared lineage that no branch names yet, durable with the next commit; fills lineage and
 * incarnation of `b`.
 * *ret is a reference. On failure what was made is garbage for gc. */
cow_errno cow_branch_grow(struct cow_store *s, struct cow_branch_grow *g, struct cow_branch_rec *b,
			  struct cow_live **ret, struct cow_error *e);

/* Resolve, and close the head if that is what was named: ret->at is a point. Release ret->branch.
 */
cow_errno cow_branch_point(struct cow_store *s, const char *reference, const char *self,
			   struct cow_ref *ret, struct cow_error *e);
