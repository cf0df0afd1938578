// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "store/branch.h"
#include "tools/daemon/engine.h"

/* -EBUSY: the branch of these settings is protected, and `force` was not said. `what` completes
 * "cannot ...". */
cow_errno verb_refuse_protected(const char *name, const json_t *settings, bool force,
				const char *what, struct cow_error *e);
