// SPDX-License-Identifier: Apache-2.0
/* source: production, brought into the private branch run->import. One file for each kind of
 * source. */
#pragma once
#include "tools/golden/golden.h"

#define GOLDEN_IMPORT "import" /* NAME-build/import, NAME-build/masked */
#define GOLDEN_MASKED "masked"

/* Fetch it; afterwards run->import is made, its server runs and is past recovery, and
 * run->source_ns and source_text are set. On failure run->import may be made: drop it. */
cow_errno golden_fetch(struct golden_run *run, struct cow_error *e);

/* "golden-build/import" into buf; returns it. */
const char *golden_branch_name(const struct golden_run *run, const char *what, char *buf,
			       size_t size);

/* --- the kinds --- */

cow_errno golden_fetch_basebackup(struct golden_run *run, struct cow_error *e);
cow_errno golden_fetch_pgdata(struct golden_run *run, struct cow_error *e);
cow_errno golden_fetch_dump(struct golden_run *run, struct cow_error *e);
cow_errno golden_fetch_pgbackrest(struct golden_run *run, struct cow_error *e);

/* What they share: an empty, ephemeral import branch. */
cow_errno golden_import_make(struct golden_run *run, struct cow_error *e);
