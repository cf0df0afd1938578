// SPDX-License-Identifier: Apache-2.0
/* opening: open a store that another short-lived command may be using right now. */
#pragma once
#include "store/store.h"

/* As cow_store_open, but tries again for `wait_ms` while somebody else has it open. */
cow_errno opening_wait(const char *path, const struct cow_store_options *o, unsigned wait_ms,
		       struct cow_store **ret, struct cow_error *e);
