// SPDX-License-Identifier: Apache-2.0
/* kv_mem: the in-memory implementation of store/kv.h, whose failures tests can order.
 *
 * A `kv_mem_disk` is what outlives a power cut: the durable entries, and the batches that were
 * written without sync and may or may not have reached the medium, in order. A kv opened on it sees
 * all of them. Batches are atomic here as in the contract: never torn, only forgotten from the end.
 * Threads: a kv from any thread; the disk calls below only while nobody uses the kv. */
#pragma once
#include "store/kv.h"

struct kv_mem_disk;

enum kv_mem_call { KV_MEM_GET, KV_MEM_SEEK, KV_MEM_SCAN, KV_MEM_WRITE, KV_MEM_SYNC, KV_MEM_CALLS };

struct kv_mem_disk *kv_mem_disk_new(void);
/* NULL is fine. No kv may be open on it. */
void kv_mem_disk_free(struct kv_mem_disk *d);

/* -ENOMEM; -EBUSY a kv is open on it. The kv starts healthy, whatever failed before. */
cow_errno kv_mem_open(struct kv_mem_disk *d, struct cow_kv **ret);

/* The nth call of this kind from now (1 = the next) answers `err` and has no visible effect; a
 * failed write stays among the unsynced batches, for a failed write may have reached the medium.
 * nth 0 = never. After a failed write or sync every later write and sync answers -EIO (fail stop).
 */
void kv_mem_fail(struct kv_mem_disk *d, enum kv_mem_call call, unsigned nth, cow_errno err);

/* Calls of this kind since the disk was made: run once to count, then fail each one in turn. */
unsigned kv_mem_calls(const struct kv_mem_disk *d, enum kv_mem_call call);

/* Batches that a power cut may take away. */
size_t kv_mem_unsynced(const struct kv_mem_disk *d);

/* Lose power: the first `keep` unsynced batches survive, the others never happened. A kv that is
 * still open sees the new state at once and fails every call with -EIO until closed. */
void kv_mem_power_cut(struct kv_mem_disk *d, size_t keep);
