// SPDX-License-Identifier: Apache-2.0
#include "store/sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/codec.h"
#include "store/os.h"

static cow_errno load(struct cow_store *s, const struct cow_key *k, struct cow_sum_rec *ret)
{
	CLEANUP(cow_buf_release) struct cow_buf v = {0};
	cow_errno r = cow_kv_get(s->kv, k->b, k->len, &v);

	ret->n = 0;
	return r == -ENOENT ? 0 : r < 0 ? r : cow_sum_decode(v.data, v.len, ret);
}

static const uint64_t *find(const struct cow_sum_rec *rec, uint32_t block)
{
	uint32_t lo = 0, hi = rec->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (rec->of[mid].block < block)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < rec->n && rec->of[lo].block == block ? &rec->of[lo].sum : NULL;
}

/* Sums known before and sums of now, in block order; what is no longer needed is left out. */
struct fresh {
	struct cow_sum_rec rec;
	bool changed;
};

static void keep(struct fresh *f, uint32_t block, uint64_t sum)
{
	f->rec.of[f->rec.n].block = (uint16_t)block;
	f->rec.of[f->rec.n++].sum = sum;
}

static cow_errno save(struct cow_store *s, const struct cow_key *k, const struct cow_sum_rec *rec)
{
	CLEANUP(cow_buf_release) struct cow_buf bytes = {0};
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	cow_errno r = cow_sum_encode(rec, &bytes);

	if (r < 0)
		return r;
	cow_batch_put(&b, k->b, k->len, bytes.data, bytes.len);
	return cow_kv_write(s->kv, &b, false);
}

struct check {
	bool only_new; /* blocks with a sum are not read */
	int (*bad)(uint64_t block, cow_errno r, void *arg);
	void *arg;
	uint64_t *checked, *made;
};

static int check_block(int fd, uint64_t block, const uint64_t *known, struct fresh *f,
		       const struct check *c)
{
	uint8_t buf[COW_BLOCK];
	uint32_t at = (uint32_t)(block % COW_CHUNK_BLOCKS);
	cow_errno r;
	uint64_t sum;

	if (known && c->only_new) {
		keep(f, at, *known);
		return 0;
	}
	r = fd < 0 ? fd : cow_os_pread(fd, buf, sizeof(buf), block * COW_BLOCK);
	if (r < 0) {
		if (known)
			keep(f, at, *known);
		return c->bad(block, r, c->arg);
	}
	sum = cow_codec_sum(buf, sizeof(buf));
	keep(f, at, known ? *known : sum);
	if (known) {
		(*c->checked)++; /* never NULL when sums are compared */
		return *known == sum ? 0 : c->bad(block, -EILSEQ, c->arg);
	}
	if (!c->made)
		return 0;
	f->changed = true;
	(*c->made)++;
	return 0;
}

static int walk(struct cow_store *s, struct cow_point at, uint64_t ino, uint64_t chunk,
		const uint64_t bits[16], const struct check *c)
{
	CLEANUP_FREE struct cow_sum_rec *known = malloc(sizeof(*known));
	CLEANUP_FREE struct fresh *f = calloc(1, sizeof(*f));
	struct cow_key k = cow_key_sum(at.lineage, at.epoch, ino, chunk);
	struct cow_extent *x = NULL;
	int fd, r = known && f ? load(s, &k, known) : -ENOMEM;

	if (r < 0 || (r = cow_extent_get(s->extents, at.lineage, at.epoch, ino, &x)) < 0)
		return r;
	fd = cow_extent_pin(s->extents, x, false);
	for (uint32_t b = 0; r == 0 && b < COW_CHUNK_BLOCKS; b++)
		if (bits[b / 64] >> b % 64 & 1)
			r = check_block(fd, chunk * COW_CHUNK_BLOCKS + b, find(known, b), f, c);
	if (fd >= 0)
		cow_extent_unpin(s->extents, x);
	cow_extent_put(s->extents, x);
	if (r == 0 && f->changed)
		r = save(s, &k, &f->rec);
	return r;
}

int cow_sums_check(struct cow_store *s, struct cow_point at, uint64_t ino, uint64_t chunk,
		   const uint64_t bits[16], int (*bad)(uint64_t block, cow_errno r, void *arg),
		   void *arg, uint64_t *checked, uint64_t *made)
{
	const struct check c = {false, bad, arg, checked, made};

	return walk(s, at, ino, chunk, bits, &c);
}

int cow_sums_make(struct cow_store *s, struct cow_point at, uint64_t ino, uint64_t chunk,
		  const uint64_t bits[16], int (*bad)(uint64_t block, cow_errno r, void *arg),
		  void *arg, uint64_t *made)
{
	const struct check c = {true, bad, arg, NULL, made};

	return walk(s, at, ino, chunk, bits, &c);
}
