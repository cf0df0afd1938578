// SPDX-License-Identifier: Apache-2.0
/* private: branches that only the work they were made for may use (setting "private": its purpose).
 *
 * They hold what must not be seen (the unmasked import of a golden image) or is not whole yet. No
 * server of them is started or named, no point of them is taken, and they keep their names, so that
 * whoever made them can delete them without a trace. Deleting them is
 * always allowed, and for ever. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "store/branch.h"
#include "tools/daemon/engine.h"

/* -EPERM with the reason when the branch that `reference` begins with is private, unless `args` has
 * "private": true. NULL and unknown branches are let through: the verb says what is wrong with
 * them. `what` completes "cannot ...". */
cow_errno private_refuse(struct engine *g, const char *reference, const json_t *args,
			 const char *what, struct cow_error *e);

bool private_is(const struct cow_branch_info *b);
