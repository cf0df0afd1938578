// SPDX-License-Identifier: Apache-2.0
/* refresh: the whole way from the source to a new image. */
#pragma once
#include "tools/golden/golden.h"

/* Make a new image and move the pointer. The work is done in a process of its own; whatever becomes
 * of it, the unmasked import and the masked branch are deleted and their space given back before
 * this returns. *ret_report is a new object, of a success. On failure the pointer is where it was.
 * -EPERM something was not decided about; -EBUSY another refresh runs. */
cow_errno golden_refresh(struct command_call *call, const struct golden_conf *conf,
			 json_t **ret_report, struct cow_error *e);

/* When a refresh was last begun, whatever became of it (CLOCK_REALTIME, ns); 0 = never. */
int64_t golden_last_attempt(const char *store, const struct golden_conf *conf);
