// SPDX-License-Identifier: Apache-2.0
/* carry: which tables of the new image can be taken from the one before.
 *
 * A table is taken over when a keyed digest says that its rows in the source, what was decided
 * about its columns and its columns themselves are what they were. All of an image is written whole
 * when anything beside rows changed: the schema of any database, a role, a rule, the salt, the
 * functions of masking, what the proof lets pass. Then the new root begins as a branch of the
 * image before (which was proven, and shares nothing with what is not masked), the other tables get
 * new files there (renew.c), and every check of a whole image is made: the scan reads every byte,
 * taken over or not.
 *
 * What the older image alone needs stays on the disk while newer ones are made from it. So an
 * image is also written whole when that would be more than half of it, and after
 * conf->rewrite_after images.
 *
 * Never taken over: tables with a rule `sql`, which may depend on anything; trees of partitions
 * whose rows move when they are masked, unless all of them are as they were. */
#pragma once
#include "tools/golden/golden.h"

/* run->import runs. Fills run->carry, and digest and carried of every table. */
cow_errno golden_carry_plan(struct golden_run *run, struct cow_error *e);

/* The tables of a database that are not taken over: a literal of text[], allocated. */
char *golden_carry_others(const struct golden_database *d);

/* What the next refresh compares with, into run->report; the contents of the image are proven. */
void golden_carry_note(struct golden_run *run);
