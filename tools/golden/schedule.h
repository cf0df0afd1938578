// SPDX-License-Identifier: Apache-2.0
/* schedule: when a refresh is due: "hourly", "every 6h", "daily 03:00", "weekly sun 04:00". Pure.
 */
#pragma once
#include <stdint.h>

#include "store/error.h"

/* The first time after `after_ns` (CLOCK_REALTIME); times of the day are local. -EINVAL with what
 * would have been right. */
cow_errno schedule_next(const char *text, int64_t after_ns, int64_t *ret_ns, struct cow_error *e);
