// SPDX-License-Identifier: Apache-2.0
/* pgbin: where the programs of a major version of PostgreSQL are on this machine.
 *
 * Looks, in this order, into the directory that was given, Debian's and Red Hat's versioned places,
 * PATH, and the bindir of every pg_config on PATH. A directory counts when its `postgres` says that
 * it is of the wanted version. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "store/error.h"

/* First line of DIR/PG_VERSION. -ENOENT no PGDATA, -EINVAL not a version of 12 to 18 (reason in e).
 */
cow_errno pgbin_version(const char *pgdata, int *ret_major, struct cow_error *e);

/* The directory with `postgres`, `psql` and so on. `given` (--bindir) may be NULL.
 * -ENOENT none found (the hint says what to install), -EINVAL `given` has another version. */
cow_errno pgbin_find(int major, const char *given, char *ret, size_t size, struct cow_error *e);

/* Does the server in `bindir` find a library to preload? true also when its directory is unknown.
 */
bool pgbin_has_library(const char *bindir, const char *name);
