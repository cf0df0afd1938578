// SPDX-License-Identifier: Apache-2.0
/* run: the frame and the steps that refresh, check and preview share (struct golden_run). */
#pragma once
#include "tools/golden/golden.h"

void golden_run_begin(struct golden_run *run, struct command_call *call,
		      const struct golden_conf *conf);
void golden_run_end(struct golden_run *run);

/* The lock of this image; closing the descriptor gives it back. -EBUSY. */
cow_errno golden_run_lock(const struct golden_run *run, int *ret_fd, struct cow_error *e);

/* Run `body` in a child that writes one answer (wire.h) to `out` and ends; afterwards, whatever
 * became of it, delete every private branch of the image. *ret: "result" of the answer. */
cow_errno golden_run_apart(struct golden_run *run, void (*body)(struct golden_run *run, int out),
			   json_t **ret, struct cow_error *e);
void golden_run_clean(struct golden_run *run);

/* Rules against run->import; fills run->databases. -EPERM something is undecided. */
cow_errno golden_run_decide(struct golden_run *run, struct cow_error *e);
/* run->masked from run->import; both run afterwards. */
cow_errno golden_run_branch(struct golden_run *run, struct cow_error *e);

/* STORE/golden/NAME.what, where the slashes of the name are _. */
void golden_own_file(const char *store, const char *name, const char *what, char *ret, size_t size);
