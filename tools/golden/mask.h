// SPDX-License-Identifier: Apache-2.0
/* mask: every table of the databases of the image gets its fakes, several tables at once. */
#pragma once
#include "tools/golden/golden.h"

/* tools/golden/mask.sql, as text. */
extern const char golden_mask_sql[];

/* The secret behind the fakes: read from conf->salt, or STORE/golden/NAME.salt, which is made when
 * it is missing (0600). `ret`: at least GOLDEN_SALT_SIZE. -EPERM others can read it. */
#define GOLDEN_SALT_SIZE 130
cow_errno golden_salt(const struct golden_conf *conf, const char *store, char *ret,
		      struct cow_error *e);

/* Mask run->masked by run->databases, all decided. Adds "tables": [{database, table, rows, masked,
 * seconds}] to run->report. On failure the branch is half masked: throw it away. */
cow_errno golden_mask(struct golden_run *run, struct cow_error *e);

/* The functions of masking, in every database of a server; and none of them any more. */
cow_errno golden_mask_install(const struct golden_server *s, const struct golden_database *d,
			      size_t n, struct cow_error *e);
cow_errno golden_mask_remove(const struct golden_server *s, const struct golden_database *d,
			     size_t n, struct cow_error *e);
