// SPDX-License-Identifier: Apache-2.0
/* kv: buffers and batches, shared by every implementation of the map. */
#include "store/kv.h"

#include <errno.h>
#include <stdlib.h>

#include "store/bytes.h"

void cow_buf_release(struct cow_buf *b)
{
	free(b->data);
	*b = (struct cow_buf){0};
}

static cow_errno buf_reserve(struct cow_buf *b, size_t cap)
{
	size_t want = b->cap ? b->cap : 64;
	uint8_t *data;

	if (cap <= b->cap)
		return 0;
	while (want < cap)
		want *= 2;
	data = realloc(b->data, want);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap = want;
	return 0;
}

cow_errno cow_buf_add(struct cow_buf *b, const void *data, size_t len)
{
	cow_errno r = buf_reserve(b, b->len + len);

	if (r < 0)
		return r;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

cow_errno cow_buf_set(struct cow_buf *b, const void *data, size_t len)
{
	b->len = 0;
	return cow_buf_add(b, data, len);
}

/* An entry is klen, vlen + 1 (0 = delete), key, value; lengths as 32 bits. */
static void batch_add(struct cow_batch *b, const void *key, size_t klen, const void *val,
		      size_t vlen)
{
	uint8_t head[8];

	cow_put32(cow_put32(head, (uint32_t)klen), val ? (uint32_t)vlen + 1 : 0);
	if (b->failed || (b->failed = cow_buf_add(&b->ops, head, sizeof(head))) ||
	    (b->failed = cow_buf_add(&b->ops, key, klen)))
		return;
	if (val)
		b->failed = cow_buf_add(&b->ops, val, vlen);
	b->count++;
}

void cow_batch_put(struct cow_batch *b, const void *key, size_t klen, const void *val, size_t vlen)
{
	batch_add(b, key, klen, val ? val : "", vlen);
}

void cow_batch_del(struct cow_batch *b, const void *key, size_t klen)
{
	batch_add(b, key, klen, NULL, 0);
}

void cow_batch_append(struct cow_batch *b, const struct cow_batch *tail)
{
	if (!b->failed)
		b->failed = tail->failed;
	if (!b->failed)
		b->failed = cow_buf_add(&b->ops, tail->ops.data, tail->ops.len);
	b->count += tail->count;
}

void cow_batch_release(struct cow_batch *b)
{
	cow_buf_release(&b->ops);
	*b = (struct cow_batch){0};
}

int cow_batch_each(const struct cow_batch *b,
		   int (*each)(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen,
			       void *arg),
		   void *arg)
{
	struct cow_cur c = cow_cur_of(b->ops.data, b->ops.len);
	int r = 0;

	while (r == 0 && c.p < c.end) {
		size_t klen = cow_cur_uint(&c, 4), vlen = cow_cur_uint(&c, 4);
		const uint8_t *key = cow_cur_take(&c, klen);
		const uint8_t *val = vlen ? cow_cur_take(&c, vlen - 1) : NULL;

		r = each(key, klen, val, vlen ? vlen - 1 : 0, arg);
	}
	return r;
}
