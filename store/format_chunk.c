// SPDX-License-Identifier: Apache-2.0
/* format_chunk: runs and sums of a chunk. Pure: no I/O, no state. See format.h for the bytes. */
#include <errno.h>

#include "store/bytes.h"
#include "store/format.h"

enum { VALUE_VERSION = 1, VARINT_MAX = 10 };

/* Index of `epoch` in the table, added when new; epochs of one chunk are few, and neighbours
 * repeat. */
static uint32_t epoch_index(uint64_t *table, uint32_t *n, uint64_t epoch)
{
	for (uint32_t k = *n; k > 0; k--)
		if (table[k - 1] == epoch)
			return k;
	table[(*n)++] = epoch;
	return *n;
}

cow_errno cow_chunk_encode(const struct cow_chunk_rec *v, struct cow_buf *out)
{
	uint64_t table[COW_CHUNK_BLOCKS];
	uint8_t runs[COW_CHUNK_BLOCKS * 6], head[2 * VARINT_MAX], *p = runs, *h = head;
	uint32_t n = 0, at = 0;
	cow_errno r;

	for (uint32_t k = 0; k < v->n; k++) {
		const struct cow_run *run = &v->run[k];

		p = cow_put_varint(p, run->start - at);
		p = cow_put_varint(p, run->len);
		p = cow_put_varint(p, run->epoch ? epoch_index(table, &n, run->epoch) : 0);
		at = run->start + run->len;
	}
	*h++ = VALUE_VERSION;
	h = cow_put_varint(h, n);
	r = cow_buf_set(out, head, (size_t)(h - head));
	for (uint32_t k = 0; r == 0 && k < n; k++)
		r = cow_buf_add(out, head, (size_t)(cow_put_varint(head, table[k]) - head));
	if (r == 0)
		r = cow_buf_add(out, head, (size_t)(cow_put_varint(head, v->n) - head));
	return r ? r : cow_buf_add(out, runs, (size_t)(p - runs));
}

static cow_errno decode_runs(struct cow_cur *c, const uint64_t *table, uint64_t n,
			     struct cow_chunk_rec *out)
{
	uint64_t count = cow_cur_varint(c), at = 0;

	if (c->failed || count > COW_CHUNK_BLOCKS)
		return -EIO;
	for (out->n = 0; out->n < count; out->n++) {
		uint64_t gap = cow_cur_varint(c), len = cow_cur_varint(c);
		uint64_t index = cow_cur_varint(c);

		if (c->failed || index > n || gap > COW_CHUNK_BLOCKS || len == 0 ||
		    len > COW_CHUNK_BLOCKS || at + gap + len > COW_CHUNK_BLOCKS)
			return -EIO;
		out->run[out->n] = (struct cow_run){
		    .start = (uint32_t)(at + gap),
		    .len = (uint32_t)len,
		    .epoch = index ? table[index - 1] : 0,
		};
		at += gap + len;
	}
	return cow_cur_ok(c) ? 0 : -EIO;
}

cow_errno cow_chunk_decode(const void *data, size_t len, struct cow_chunk_rec *out)
{
	struct cow_cur c = cow_cur_of(data, len);
	uint64_t table[COW_CHUNK_BLOCKS], n;

	if (cow_cur_uint(&c, 1) != VALUE_VERSION)
		return -EIO;
	n = cow_cur_varint(&c);
	if (c.failed || n > COW_CHUNK_BLOCKS)
		return -EIO;
	for (uint64_t k = 0; k < n; k++)
		if ((table[k] = cow_cur_varint(&c)) == 0)
			return -EIO;
	return decode_runs(&c, table, n, out);
}

cow_errno cow_sum_encode(const struct cow_sum_rec *v, struct cow_buf *out)
{
	uint8_t b[10] = {VALUE_VERSION};
	cow_errno r;

	cow_put16(b + 1, (uint16_t)v->n);
	r = cow_buf_set(out, b, 3);
	for (uint32_t k = 0; r == 0 && k < v->n; k++) {
		cow_put64(cow_put16(b, v->of[k].block), v->of[k].sum);
		r = cow_buf_add(out, b, 10);
	}
	return r;
}

cow_errno cow_sum_decode(const void *data, size_t len, struct cow_sum_rec *out)
{
	struct cow_cur c = cow_cur_of(data, len);
	int last = -1;

	if (cow_cur_uint(&c, 1) != VALUE_VERSION)
		return -EIO;
	out->n = (uint32_t)cow_cur_uint(&c, 2);
	if (c.failed || out->n > COW_CHUNK_BLOCKS)
		return -EIO;
	for (uint32_t k = 0; k < out->n; k++) {
		out->of[k].block = (uint16_t)cow_cur_uint(&c, 2);
		out->of[k].sum = cow_cur_uint(&c, 8);
		if (c.failed || out->of[k].block >= COW_CHUNK_BLOCKS || out->of[k].block <= last)
			return -EIO;
		last = out->of[k].block;
	}
	return cow_cur_ok(&c) ? 0 : -EIO;
}
