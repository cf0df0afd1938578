// SPDX-License-Identifier: Apache-2.0
/* publish_parts: what the files of a publish share; private to publish.c, sample.c, proof.c,
 * contents.c, build.c, renew.c and pointer.c. */
#pragma once
#include "tools/golden/publish.h"

struct relmap;

struct golden_image {
	struct golden_run *run;
	struct originals *originals;
	struct golden_server server, dump;
	struct relmap *relations;
	json_t *checks; /* array of {check, what, ok, count, detail?, ms} */
};

/* Add a line to the checks; `ok` false makes -EBADMSG of `detail`. */
cow_errno golden_checked(struct golden_image *g, const char *check, bool ok, uint64_t count,
			 const char *detail, struct cow_error *e);
int64_t golden_now_ms(void);

/* --- sample.c --- */

/* Values that the image shows in masked columns because masking made them are no evidence; rows are
 * compared with what they were. The server of the image runs. */
cow_errno golden_originals_settle(struct golden_image *g, struct cow_error *e);

/* --- relmap_load.c --- */
cow_errno golden_relations(struct golden_image *g, struct cow_error *e);

/* --- build.c: the new root --- */
cow_errno golden_build(struct golden_image *g, struct cow_error *e);
/* The server of g->server, with what makes filling fast. */
cow_errno golden_build_start(struct golden_image *g, struct cow_error *e);
/* After the last query: clean stop, fresh WAL, no log. */
cow_errno golden_finish(struct golden_image *g, struct cow_error *e);

/* --- renew.c: a new root from the image before --- */
cow_errno golden_renew(struct golden_image *g, struct cow_error *e);
cow_errno golden_renew_vacuum(struct golden_image *g, struct cow_error *e);

/* --- contents.c --- */
/* Fills the contents of all tables. */
cow_errno golden_prove_contents(struct golden_image *g, struct cow_error *e);

/* --- proof.c --- */
cow_errno golden_prove_running(struct golden_image *g, struct cow_error *e);
cow_errno golden_prove_stopped(struct golden_image *g, struct cow_error *e);

/* --- pointer.c --- */
cow_errno golden_move(struct golden_image *g, struct cow_error *e);
