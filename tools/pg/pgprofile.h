// SPDX-License-Identifier: Apache-2.0
/* pgprofile: how much memory the server of a branch takes for itself.
 *
 * A branch inherits the configuration of its parent, and a production server's shared_buffers times
 * fifty branches is more than any machine has. A profile is a bound: what the branch inherited
 * stays when it is less. No profile lets one server take more than a quarter of the machine. What
 * `branch set -c` says is not bounded. */
#pragma once
#include <stdint.h>
#include <stdbool.h>

#include "fs/pgconf.h"

#define PGPROFILE_MEMORY_LEAST (32ull << 20) /* a server with less does not start */

struct pgprofile {
	const char *name;
	uint64_t shared_buffers;        /* bytes at most; 0 = a quarter of the machine */
	const char *const (*others)[2]; /* more settings, ends with {NULL}; NULL = none */
};

/* "small", "standard", "inherit"; NULL = no such profile. */
const struct pgprofile *pgprofile_find(const char *name);

/* The profile of a branch for which nobody chose one: a base is inherited, what was made from it is
 * standard. */
const struct pgprofile *pgprofile_default(bool base);

/* Add to `l` what bounds a server with this configuration. -ENOMEM. */
cow_errno pgprofile_apply(const struct pgprofile *p, const char *conf, struct cow_pgconf_list *l);
