// SPDX-License-Identifier: Apache-2.0
/* progress: a bar on stderr for what takes longer than a second, only on a terminal. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct progress;

/* `label` is borrowed. Shows nothing when `quiet`, or when stderr is no terminal. NULL without
 * memory is fine: all calls accept it. */
struct progress *progress_new(const char *label, bool quiet);
/* total 0 = unknown. Bytes. Any thread, one at a time. */
void progress_set(struct progress *p, uint64_t done, uint64_t total);
/* Wipes the line and frees. */
void progress_free(struct progress *p);
