// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/residue_match.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"

#define STRIDE 4u /* positions of the text that are looked at: every fourth */
#define WINDOW 5u /* bytes that are hashed; WINDOW + STRIDE - 1 = MATCH_MIN */
#define LOADED 8u /* bytes that are read to get a window */

/* Rough folding: sets the bit in which cases differ. The comparison is exact. */
#define WINDOW_MASK 0xffffffffffull
#define WINDOW_FOLD 0x2020202020ull
#define GOLDEN_RATIO 0x9e3779b97f4a7c15ull

#define BITMAP_BITS_MIN 15u
#define BITMAP_BITS_MAX 24u /* 2 MiB: beyond the second-level cache it only slows down */

struct pattern {
	uint32_t offset; /* in bytes[] */
	uint32_t id;
	uint8_t len;
	uint8_t anchor; /* the first of its four windows */
	bool fold;
};

struct entry {
	uint32_t pattern;
	uint32_t next; /* entry + 1 of the same slot; 0 = end */
	uint32_t tag;  /* of its window: another one is not compared */
	uint8_t shift; /* where the window lies in the pattern */
};

struct matcher {
	struct pattern *patterns;
	uint8_t *bytes; /* of all patterns, folded where they fold */
	size_t n, n_room, n_bytes, bytes_room;

	uint8_t *bitmap;
	uint32_t *slots; /* entry + 1 */
	struct entry *entries;
	unsigned bitmap_bits, slot_bits;
};

struct matcher *matcher_new(void)
{
	return calloc(1, sizeof(struct matcher));
}

void matcher_free(struct matcher *m)
{
	if (!m)
		return;
	free(m->patterns);
	free(m->bytes);
	free(m->bitmap);
	free(m->slots);
	free(m->entries);
	free(m);
}

size_t matcher_count(const struct matcher *m)
{
	return m->n;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Room for one more of `need` bytes each, doubling. */
static cow_errno grow(void **p, size_t *room, size_t wanted, size_t each)
{
	size_t larger = COW_MAX(*room * 2, wanted + 64);
	void *fresh;

	if (wanted <= *room)
		return 0;
	fresh = reallocarray(*p, larger, each);
	if (!fresh)
		return -ENOMEM;
	*p = fresh;
	*room = larger;
	return 0;
}

cow_errno matcher_add(struct matcher *m, const void *bytes, size_t len, bool fold, uint32_t id)
{
	const uint8_t *from = bytes;

	if (len < MATCH_MIN || len > MATCH_MAX || m->n_bytes > UINT32_MAX - MATCH_MAX)
		return -EINVAL;
	if (grow((void **)&m->patterns, &m->n_room, m->n + 1, sizeof(*m->patterns)) < 0 ||
	    grow((void **)&m->bytes, &m->bytes_room, m->n_bytes + len, 1) < 0)
		return -ENOMEM;
	m->patterns[m->n++] = (struct pattern){
	    .offset = (uint32_t)m->n_bytes, .id = id, .len = (uint8_t)len, .fold = fold};
	for (size_t k = 0; k < len; k++)
		m->bytes[m->n_bytes++] = fold ? lower(from[k]) : from[k];
	return 0;
}

/* --- the filter --- */

static uint64_t window_of(uint64_t loaded)
{
	return ((loaded & WINDOW_MASK) | WINDOW_FOLD) * GOLDEN_RATIO;
}

static uint32_t tag_of(uint64_t w)
{
	return (uint32_t)(w >> 16);
}

static uint64_t load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t pattern_window(const struct matcher *m, const struct pattern *p, size_t shift)
{
	uint8_t padded[LOADED] = {0};

	memcpy(padded, m->bytes + p->offset + shift, WINDOW);
	return window_of(load(padded));
}

/* Where values of one column differ is the best place to look for them: not in the domain that all
 * addresses share. `counts` says how often each window occurs in all patterns. */
static void choose_anchor(const struct matcher *m, struct pattern *p, const uint32_t *counts,
			  unsigned bits)
{
	uint64_t best = UINT64_MAX;

	for (size_t at = 0; at + MATCH_MIN <= p->len; at++) {
		uint64_t sum = 0;

		for (size_t k = 0; k < STRIDE; k++)
			sum += counts[pattern_window(m, p, at + k) >> (64 - bits)];
		if (sum < best) {
			best = sum;
			p->anchor = (uint8_t)at;
		}
	}
}

static cow_errno choose_anchors(struct matcher *m)
{
	unsigned bits = m->slot_bits;
	CLEANUP_FREE uint32_t *counts = calloc((size_t)1 << bits, sizeof(*counts));

	if (!counts)
		return -ENOMEM;
	for (size_t k = 0; k < m->n; k++)
		for (size_t at = 0; at + WINDOW <= m->patterns[k].len; at++)
			counts[pattern_window(m, &m->patterns[k], at) >> (64 - bits)]++;
	for (size_t k = 0; k < m->n; k++)
		choose_anchor(m, &m->patterns[k], counts, bits);
	return 0;
}

static void enter(struct matcher *m, uint32_t pattern, uint8_t shift, uint32_t number)
{
	uint64_t w = pattern_window(m, &m->patterns[pattern], shift);
	uint64_t bit = w >> (64 - m->bitmap_bits), slot = w >> (64 - m->slot_bits);

	m->bitmap[bit >> 3] |= (uint8_t)(1u << (bit & 7));
	m->entries[number] = (struct entry){pattern, m->slots[slot], tag_of(w), shift};
	m->slots[slot] = number + 1;
}

cow_errno matcher_ready(struct matcher *m)
{
	uint32_t number = 0;

	m->slot_bits = 8;
	while (((size_t)1 << m->slot_bits) < m->n * STRIDE)
		m->slot_bits++;
	m->bitmap_bits = COW_MAX(m->slot_bits + 6, BITMAP_BITS_MIN);
	m->bitmap_bits = COW_MIN(m->bitmap_bits, BITMAP_BITS_MAX);
	m->bitmap = calloc((size_t)1 << m->bitmap_bits, 1);
	m->slots = calloc((size_t)1 << m->slot_bits, sizeof(*m->slots));
	m->entries = calloc(m->n * STRIDE + 1, sizeof(*m->entries));
	if (!m->bitmap || !m->slots || !m->entries || choose_anchors(m) < 0)
		return -ENOMEM;
	for (uint32_t k = 0; k < m->n; k++)
		for (uint8_t s = 0; s < STRIDE; s++)
			enter(m, k, m->patterns[k].anchor + s, number++);
	return 0;
}

/* --- looking --- */

static bool equals(const struct matcher *m, const struct pattern *p, const uint8_t *text)
{
	const uint8_t *want = m->bytes + p->offset;

	if (!p->fold)
		return memcmp(want, text, p->len) == 0;
	for (size_t k = 0; k < p->len; k++)
		if (want[k] != lower(text[k]))
			return false;
	return true;
}

struct target {
	const uint8_t *buf;
	size_t len;
	void (*found)(void *arg, uint32_t id, size_t at, size_t len);
	void *arg;
};

/* A window that passed the filter begins at `at`. */
static __attribute__((noinline)) void probe(const struct matcher *m, const struct target *t,
					    size_t at, uint64_t w)
{
	for (uint32_t e = m->slots[w >> (64 - m->slot_bits)]; e; e = m->entries[e - 1].next) {
		const struct entry *n = &m->entries[e - 1];
		const struct pattern *p = &m->patterns[n->pattern];

		if (n->tag != tag_of(w))
			continue;
		if (at >= n->shift && at - n->shift + p->len <= t->len &&
		    equals(m, p, t->buf + at - n->shift))
			t->found(t->arg, p->id, at - n->shift, p->len);
	}
}

void matcher_scan(const struct matcher *m, const uint8_t *buf, size_t len,
		  void (*found)(void *arg, uint32_t id, size_t at, size_t len), void *arg)
{
	const struct target t = {buf, len, found, arg};
	const unsigned shift = 64 - m->bitmap_bits;
	const uint8_t *bitmap = m->bitmap;
	size_t at = 0;

	if (m->n == 0)
		return;
	for (; at + LOADED <= len; at += STRIDE) {
		uint64_t w = window_of(load(buf + at)), bit = w >> shift;

		if (__builtin_expect(bitmap[bit >> 3] >> (bit & 7) & 1, 0))
			probe(m, &t, at, w);
	}
	for (; at + WINDOW <= len; at += STRIDE) {
		uint8_t padded[LOADED] = {0};
		uint64_t w;

		memcpy(padded, buf + at, len - at);
		w = window_of(load(padded));
		if (bitmap[w >> shift >> 3] >> (w >> shift & 7) & 1)
			probe(m, &t, at, w);
	}
}
