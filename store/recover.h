// SPDX-License-Identifier: Apache-2.0
/* recover: what happens to a store that was not closed. Private to store/.
 *
 * Named and logged, never silent (DESIGN 4.4, rule 6): (1) syncfs of the host file system, because
 * nobody knows what the last process wrote and did not sync; (2) the commit number of the map is
 * compared with the one kept beside it: a map that went back in time is refused its gc, and said
 * so; (3) files that were unlinked but open are dropped. Blocks in head extent files that the map
 * does not mention are simply not seen. */
#pragma once
#include "store/core.h"

/* `clean`: the last process closed the store. */
cow_errno cow_recover(struct cow_store *s, bool clean, struct cow_error *e);

/* Raise the number in the map durably, then beside it; only if anything was committed since. */
void cow_commit_number_keep(struct cow_store *s);

/* The mark of a clean stop beside the map; `on` false when the store is opened. */
cow_errno cow_clean_mark(struct cow_store *s, bool on);
bool cow_clean_marked(struct cow_store *s);
