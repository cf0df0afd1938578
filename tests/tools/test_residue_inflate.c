// SPDX-License-Identifier: Apache-2.0
/* Unpacking what PostgreSQL packed, and what only looks like it. Runs under ASan: buffers have
 * their exact size. What real servers pack is in golden-residue.sh. */
#include "tools/golden/residue_inflate.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

static size_t unpack(enum inflate_method method, const void *in, size_t len, void *out, size_t size,
		     bool *whole)
{
	uint8_t *from = malloc(len ? len : 1), *to = malloc(size ? size : 1);
	size_t made;

	memcpy(from, in, len);
	made = inflate(method, from, len, to, size, whole);
	cr_assert_leq(made, size);
	if (out)
		memcpy(out, to, made);
	free(from);
	free(to);
	return made;
}

/* A greedy packer in pglz's format, with copies of every distance and length that the format knows.
 */
static size_t pack(const uint8_t *in, size_t len, uint8_t *out)
{
	size_t n = 0, control = 0;

	for (size_t at = 0, bit = 8; at < len; bit++) {
		size_t best = 0, back = 0;

		if (bit == 8) {
			control = n++;
			out[control] = 0;
			bit = 0;
		}
		for (size_t b = 1; b <= at && b < 4096; b++) {
			size_t k = 0;

			while (k < 273 && at + k < len && in[at + k] == in[at + k - b])
				k++;
			if (k > best) {
				best = k;
				back = b;
			}
		}
		if (best < 3) {
			out[n++] = in[at++];
			continue;
		}
		out[control] |= (uint8_t)(1u << bit);
		out[n++] = (uint8_t)((back >> 4 & 0xf0) | (best >= 18 ? 15 : best - 3));
		out[n++] = (uint8_t)back;
		if (best >= 18)
			out[n++] = (uint8_t)(best - 18);
		at += best;
	}
	return n;
}

Test(pglz, unpacks_what_was_packed)
{
	static uint8_t in[9000], packed[20000], out[9000];
	unsigned seed = 7;

	for (size_t round = 0; round < 40; round++) {
		size_t len = 1 + (unsigned)rand_r(&seed) % (sizeof(in) - 1), n, made;
		bool whole;

		for (size_t k = 0; k < len; k++)
			in[k] = (uint8_t)(rand_r(&seed) % (round % 2 ? 3 : 60));
		n = pack(in, len, packed);
		made = unpack(INFLATE_PGLZ, packed, n, out, len, &whole);
		cr_assert(whole);
		cr_assert_eq(made, len);
		cr_assert_arr_eq(in, out, len);
	}
}

/* A copy may reach into what it makes: that is how a run is packed. */
Test(pglz, copies_overlap)
{
	const uint8_t packed[] = {0x02, 'a', 0x0f, 0x01, 0x02};
	char out[21];
	bool whole;

	cr_assert_eq(unpack(INFLATE_PGLZ, packed, sizeof(packed), out, sizeof(out), &whole), 21);
	cr_assert(whole);
	cr_assert_arr_eq(out, "aaaaaaaaaaaaaaaaaaaaa", 21);
}

/* What was unpacked before a fault is kept, and said to be no whole. */
Test(pglz, keeps_what_came_before_a_fault)
{
	const uint8_t before_begin[] = {0x04, 'a', 'b', 0x00, 0x03},
		      at_nothing[] = {0x01, 0x00, 0x00};
	const uint8_t cut[] = {0x08, 'a', 'b', 'c', 0x0f};
	char out[64];
	bool whole = true;

	cr_assert_eq(unpack(INFLATE_PGLZ, before_begin, 5, out, 64, &whole), 2);
	cr_assert_not(whole);
	cr_assert_eq(unpack(INFLATE_PGLZ, at_nothing, 3, out, 64, &whole), 0);
	cr_assert_not(whole);
	cr_assert_eq(unpack(INFLATE_PGLZ, cut, 5, out, 64, &whole), 3);
	cr_assert_not(whole);
	cr_assert_arr_eq(out, "abc", 3);
}

/* Any bytes, any claim: no step outside the buffers, no endless loop, never more than asked for. */
Test(inflate, takes_hostile_bytes)
{
	static uint8_t in[600];
	unsigned seed = 11;

	for (unsigned round = 0; round < 60000; round++) {
		size_t len = (unsigned)rand_r(&seed) % sizeof(in),
		       size = (unsigned)rand_r(&seed) % 3000;
		bool whole;

		for (size_t k = 0; k < len; k++)
			in[k] = (uint8_t)(rand_r(&seed) % (round % 3 ? 256 : 20));
		unpack(round % 3 == 2 ? INFLATE_LZ4
		       : round % 3    ? INFLATE_ZSTD
				      : INFLATE_PGLZ,
		       in, len, NULL, size, &whole);
	}
}
