// SPDX-License-Identifier: Apache-2.0
/* kv: the ordered map under the store, and the one seam where it can be replaced.
 *
 * Keys are bytes in memcmp order. A batch is atomic: after a crash all of it is there or none.
 * Batches written without sync become durable in the order in which they were written, at the
 * latest with the next synced batch or _sync. Two implementations: kv_rocks.c (the real one) and
 * the tests' one in memory, which can fail, tear and forget unsynced writes. Threads: get, seek,
 * scan and write from any thread. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/error.h"

struct cow_kv;

/* A value or key owned by the caller; release with cow_buf_release. Zero-initialise. */
struct cow_buf {
	uint8_t *data;
	size_t len, cap;
};
void cow_buf_release(struct cow_buf *b);
cow_errno cow_buf_set(struct cow_buf *b, const void *data, size_t len); /* -ENOMEM */
cow_errno cow_buf_add(struct cow_buf *b, const void *data, size_t len); /* -ENOMEM */

/* Changes gathered in memory; plain value, zero-initialise. A failed add is remembered and answered
 * by the write, so callers need not check each one. Later entries win over earlier ones. */
struct cow_batch {
	struct cow_buf ops; /* private encoding, see cow_batch_each */
	size_t count;
	cow_errno failed;
};
void cow_batch_put(struct cow_batch *b, const void *key, size_t klen, const void *val, size_t vlen);
void cow_batch_del(struct cow_batch *b, const void *key, size_t klen);
void cow_batch_append(struct cow_batch *b, const struct cow_batch *tail); /* copies */
void cow_batch_release(struct cow_batch *b);                              /* empty again */
/* In order; val NULL = delete. A non-zero answer stops and is returned. */
int cow_batch_each(const struct cow_batch *b,
		   int (*each)(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen,
			       void *arg),
		   void *arg);

/* Bytes that a map has in memory. */
struct cow_kv_memory {
	uint64_t writes; /* written, and not yet in a file of its own */
	uint64_t cache;  /* pieces of files that were read */
	uint64_t files;  /* what is kept of each open file */
};

struct cow_kv_ops {
	/* 0, -ENOENT, -EIO (damaged). `val` is set on 0. */
	cow_errno (*get)(struct cow_kv *kv, const void *key, size_t klen, struct cow_buf *val);
	/* First entry at or after `key` whose first `plen` bytes equal those of `key`; -ENOENT
	 * none. */
	cow_errno (*seek)(struct cow_kv *kv, const void *key, size_t klen, size_t plen,
			  struct cow_buf *ret_key, struct cow_buf *val);
	/* Entries that begin with `prefix`, at or after `from` (NULL = the first), in key order, of
	 * one moment. A non-zero answer of `each` stops and is returned. */
	int (*scan)(struct cow_kv *kv, const void *prefix, size_t plen, const void *from,
		    size_t flen,
		    int (*each)(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen,
				void *arg),
		    void *arg);
	/* Atomic. After a failed write the kv answers -EIO to every later write (fail stop). */
	cow_errno (*write)(struct cow_kv *kv, const struct cow_batch *b, bool sync);
	cow_errno (*sync)(struct cow_kv *kv); /* everything written so far is durable */
	void (*memory)(struct cow_kv *kv, struct cow_kv_memory *ret);
	void (*close)(struct cow_kv *kv);
};

/* Implementations embed this as their first member. */
struct cow_kv {
	const struct cow_kv_ops *ops;
	_Atomic bool broken; /* a write failed: fail stop until it is opened again */
};

static inline cow_errno cow_kv_get(struct cow_kv *kv, const void *key, size_t klen,
				   struct cow_buf *val)
{
	return kv->ops->get(kv, key, klen, val);
}

static inline cow_errno cow_kv_write(struct cow_kv *kv, const struct cow_batch *b, bool sync)
{
	return b->failed ? b->failed : kv->ops->write(kv, b, sync);
}

/* Open or create the RocksDB in `dir`. -EIO damaged (text says what), -EBUSY locked. */
cow_errno cow_kv_rocks_open(const char *dir, bool create, struct cow_kv **ret, struct cow_error *e);
