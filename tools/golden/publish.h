// SPDX-License-Identifier: Apache-2.0
/* publish: from a masked throw-away branch to an image that is proven to hold nothing of the
 * originals.
 *
 * The image is a new root: a fresh cluster in an empty branch, filled by dump and restore
 * (build.c), or a branch of the image before in which the tables that changed are written anew
 * (renew.c, carry.h). Either way no block of it comes from the import. It is looked at while its
 * server runs (contents, constraints, amcheck), then stopped, given fresh WAL, and every byte of it
 * is scanned. Only when all checks hold does the pointer branch move, in one step: `branch reset`
 * gives it a new lineage over the image. Branches made from older images keep what they have.
 *
 *   NAME                 the pointer: what CI makes its branches from
 *   NAME-images/ID       the images; protected; the newest conf->keep stay
 *   NAME-build/image     one that is not proven yet; private
 *   STORE/golden/NAME.ID.json and .md    what was checked; `NAME.failed` of the last that was
 * refused */
#pragma once
#include "tools/golden/golden.h"
#include "tools/golden/originals.h"

/* Take values and rows of all columns that are to be masked, from run->import (it runs) or, when it
 * does not, from run->masked before masking. */
cow_errno golden_originals_take(struct golden_run *run, struct originals **ret,
				struct cow_error *e);

/* Both servers run, or only the masked one, which is masked. Adds "image", "checks", "scan" and
 * "took" to run->report and keeps it. -EBADMSG a check did not hold: which one, and where, is in
 * `e`. On failure the pointer is where it was and nothing of the image is left. */
cow_errno golden_publish(struct golden_run *run, struct originals *o, struct cow_error *e);
