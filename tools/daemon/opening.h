// SPDX-License-Identifier: Apache-2.0
/* opening: open a store that another short-lived command may be using right now, and as whom. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "store/store.h"

/* As cow_store_open, but tries again for `wait_ms` while somebody else has it open. */
cow_errno opening_wait(const char *path, const struct cow_store_options *o, unsigned wait_ms,
		       struct cow_store **ret, struct cow_error *e);

/* What root does to the store of somebody else must not leave files there that belong to root: the
 * owner could not open it any more. Between these two calls root is the owner, as far as files are
 * concerned. */
struct opening_identity {
	bool changed;
	uid_t uid;
	gid_t gid;
};
cow_errno opening_become_owner(const char *path, struct opening_identity *ret, struct cow_error *e);
void opening_become_self(const struct opening_identity *id);

/* For what needs root all the time: -EPERM when the store belongs to another user than root, and we
 * are root. */
cow_errno opening_check_owner(const char *path, struct cow_error *e);
