// SPDX-License-Identifier: Apache-2.0
/* power_kv: the map in memory, its batches in the log between the host calls.
 *
 * The recorded process opens the store over power_kv_open; after a cut power_kv_replay makes the
 * disk that is left. Faster than RocksDB by far, and a batch is atomic by definition, so what
 * fails here is the store's own order of things. */
#pragma once
#include "tests/lib/kv_mem.h"
#include "tests/lib/power_replay.h"

/* `mark` gets what has to be in the log. The disk outlives the kv. */
struct cow_kv *power_kv_open(struct kv_mem_disk *d, void (*mark)(const void *data, size_t len));

/* The batches of the first c->events events; of those not synced as many as c->loss and c->seed
 * say. */
struct kv_mem_disk *power_kv_replay(const struct power_log *l, const struct power_cut *c);
