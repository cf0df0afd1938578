// SPDX-License-Identifier: Apache-2.0
/* branch_edit: the settings of a branch as a JSON object, changed in one piece.
 *
 * Every verb that changes one does it through here or, with a new name, through
 * branch_edit_text: reading, changing and writing happen under one lock of the store, so two verbs
 * at once never lose what the other one said. */
#pragma once
#include "tools/daemon/engine.h"

/* Changes `settings` in place; an error leaves the branch as it is. Quick, and without the store
 * (store/branch.h). */
typedef cow_errno branch_edit_fn(void *arg, json_t *settings, struct cow_error *e);

struct branch_edit {
	struct engine *g;
	branch_edit_fn *change;
	void *arg;
};

/* Durable on 0. -ENOENT no such branch, -EIO its settings are no JSON object, and what `change`
 * says. */
cow_errno branch_edit(struct engine *g, const char *name, branch_edit_fn *change, void *arg,
		      struct cow_error *e);

/* The cow_branch_edit_fn behind it; `arg` is a struct branch_edit. */
cow_errno branch_edit_text(void *arg, const char *was, char **ret, struct cow_error *e);
