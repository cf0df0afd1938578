// SPDX-License-Identifier: Apache-2.0
#include "tools/opening.h"

#include <errno.h>
#include <time.h>

#define TRY_EVERY_MS 10

cow_errno opening_wait(const char *path, const struct cow_store_options *o, unsigned wait_ms,
		       struct cow_store **ret, struct cow_error *e)
{
	const struct timespec pause = {.tv_nsec = TRY_EVERY_MS * 1000000};

	for (unsigned waited = 0;; waited += TRY_EVERY_MS) {
		cow_errno r = cow_store_open(path, o, ret, e);

		if (r != -EBUSY || waited >= wait_ms)
			return r;
		nanosleep(&pause, NULL);
	}
}
