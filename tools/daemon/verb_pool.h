// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stdbool.h>

#include "tools/daemon/engine.h"

/* Members of pools are branches below this; nobody else makes branches there. */
#define POOL_PREFIX ".pool/"

bool pool_is_member(const char *branch);

/* -EINVAL: users do not make branches of this name. */
cow_errno pool_check_name(const char *branch, struct cow_error *e);

/* Add the keys pool, pool_ready, pool_stale to a branch as branch_json describes it, when it is a
 * member. */
void pool_describe(struct engine *g, json_t *branch);
