// SPDX-License-Identifier: Apache-2.0
/* sums: XXH3 of the blocks of closed extent files. Private to store/.
 *
 * A sum is made once after its epoch was closed and kept in the map; the file never changes after
 * that (rule 4), except that blocks nobody needs are punched: only blocks that some point still
 * reaches are looked at. */
#pragma once
#include "store/core.h"

/* Check the blocks `bits` of (at, ino, chunk); what has no sum gets one. `bad` is called for each
 * block that differs or cannot be read (r < 0). Counts are added up; `made` NULL: sums are only
 * compared. 0, or what `bad` answered, or an error of the map. */
int cow_sums_check(struct cow_store *s, struct cow_point at, uint64_t ino, uint64_t chunk,
		   const uint64_t bits[16], int (*bad)(uint64_t block, cow_errno r, void *arg),
		   void *arg, uint64_t *checked, uint64_t *made);

/* Sums for those blocks that have none; the others are not read. */
int cow_sums_make(struct cow_store *s, struct cow_point at, uint64_t ino, uint64_t chunk,
		  const uint64_t bits[16], int (*bad)(uint64_t block, cow_errno r, void *arg),
		  void *arg, uint64_t *made);
