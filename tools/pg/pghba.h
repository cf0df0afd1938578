// SPDX-License-Identifier: Apache-2.0
/* pghba: the lines of pg_hba.conf that let superusers in only as the owner of the files.
 *
 * They stand first, so that no later line counts for these roles: over the unix socket only the
 * user of the machine who owns the data directory (peer; cowfs itself connects as that one), over
 * TCP nobody. What is inherited by a branch of the branch. Roles that have a name which cannot be
 * written there (a line break, or a leading '/', which newer servers take for a pattern) are
 * refused. */
#pragma once
#include <jansson.h>

#include "tools/pg/pgbranch.h"

/* Put them into the file that the branch uses, in place of those that are there. `names`: array of
 * role names. -EINVAL such a name; else -errno. */
cow_errno pghba_lock(const struct pgbranch *b, const json_t *names, struct cow_error *e);
