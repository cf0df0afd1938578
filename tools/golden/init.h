// SPDX-License-Identifier: Apache-2.0
/* init: the files a user begins with, and how a store knows where they are. */
#pragma once
#include <stdbool.h>

#include "store/error.h"

/* Write DIR/golden.conf and DIR/rules/example.sql; makes DIR. -EEXIST one of them is there: nothing
 * was written. */
cow_errno golden_init(const char *dir, struct cow_error *e);

/* Note in STORE/cowfs.conf that `conf` is the configuration of its golden image, so that commands
 * and cowfs serve find it. *ret_noted false: it names one already, and stays. */
cow_errno golden_init_register(const char *store, const char *conf, bool *ret_noted,
			       struct cow_error *e);

/* Path of the configuration that the store names; allocated. -ENOENT none (hint). */
cow_errno golden_init_find(const char *store, char **ret, struct cow_error *e);
