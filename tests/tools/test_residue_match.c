// SPDX-License-Identifier: Apache-2.0
/* Finding many byte strings at once, against looking for each of them everywhere. */
#include "tools/golden/residue_match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <criterion/criterion.h>

#define TEXT 4000u
#define PATTERNS 60u

struct pattern {
	uint8_t bytes[MATCH_MAX];
	size_t len;
	bool fold;
};

/* Occurrences of one pattern: how many, and the sum of where. */
struct sum {
	uint64_t n, at;
};

static void count(void *arg, uint32_t id, size_t at, size_t len)
{
	struct sum *sums = arg;

	sums[id].n++;
	sums[id].at += at;
}

static bool here(const struct pattern *p, const uint8_t *text)
{
	return p->fold ? strncasecmp((const char *)p->bytes, (const char *)text, p->len) == 0
		       : memcmp(p->bytes, text, p->len) == 0;
}

/* Few letters, so that parts of patterns are everywhere and hashes meet. No NUL: strncasecmp. */
static uint8_t letter(unsigned *seed, unsigned letters)
{
	return (uint8_t)("abABxyz012@.-_ \x80\xff\x01"[(unsigned)rand_r(seed) % letters]);
}

static void one_round(unsigned seed, size_t len, unsigned letters)
{
	struct matcher *m = matcher_new();
	struct pattern patterns[PATTERNS];
	struct sum got[PATTERNS] = {0}, want[PATTERNS] = {0};
	uint8_t *text = malloc(len); /* its own size: ASan sees a step too far */

	for (size_t k = 0; k < len; k++)
		text[k] = letter(&seed, letters);
	for (uint32_t k = 0; k < PATTERNS; k++) {
		struct pattern *p = &patterns[k];

		p->len =
		    MATCH_MIN + (unsigned)rand_r(&seed) % (k % 3 ? 4 : MATCH_MAX - MATCH_MIN + 1);
		p->fold = rand_r(&seed) % 2;
		for (size_t b = 0; b < p->len; b++)
			p->bytes[b] = letter(&seed, letters);
		/* Most are planted, some at the very ends. */
		if (p->len <= len && k % 5) {
			size_t at = (unsigned)rand_r(&seed) % (len - p->len + 1);

			at = k % 7 == 0 ? 0 : k % 7 == 1 ? len - p->len : at;
			memcpy(text + at, p->bytes, p->len);
		}
		cr_assert_eq(matcher_add(m, p->bytes, p->len, p->fold, k), 0);
	}
	cr_assert_eq(matcher_ready(m), 0);
	matcher_scan(m, text, len, count, got);
	for (size_t k = 0; k < PATTERNS; k++) {
		for (size_t at = 0; at + patterns[k].len <= len; at++) {
			if (here(&patterns[k], text + at)) {
				want[k].n++;
				want[k].at += at;
			}
		}
		cr_assert_eq(got[k].n, want[k].n, "pattern %zu of seed %u: %llu, not %llu", k, seed,
			     (unsigned long long)got[k].n, (unsigned long long)want[k].n);
		cr_assert_eq(got[k].at, want[k].at, "pattern %zu of seed %u is elsewhere", k, seed);
	}
	free(text);
	matcher_free(m);
}

/* Exactly what a naive search finds: every occurrence once, in texts of every length and alphabet.
 */
Test(matcher, finds_what_a_naive_search_finds)
{
	for (unsigned seed = 1; seed <= 150; seed++)
		one_round(seed, (seed * 37) % TEXT, 2 + seed % 16);
	for (unsigned len = 0; len < 40; len++)
		one_round(1000 + len, len, 3);
}

Test(matcher, refuses_lengths_that_it_cannot_look_for)
{
	struct matcher *m = matcher_new();
	uint8_t bytes[MATCH_MAX + 1] = {0};

	cr_assert_eq(matcher_add(m, bytes, MATCH_MIN - 1, false, 0), -EINVAL);
	cr_assert_eq(matcher_add(m, bytes, MATCH_MAX + 1, false, 0), -EINVAL);
	cr_assert_eq(matcher_count(m), 0);
	cr_assert_eq(matcher_ready(m), 0);
	matcher_scan(m, bytes, sizeof(bytes), count, NULL);
	matcher_free(m);
}

/* Letters fold, other bytes that differ in the same bit do not: '@' and '`', '[' and '{'. */
Test(matcher, folds_letters_only)
{
	struct matcher *m = matcher_new();
	struct sum sums[2] = {0};

	cr_assert_eq(matcher_add(m, "Ann@[Ex]", 8, true, 0), 0);
	cr_assert_eq(matcher_add(m, "Exact@Me", 8, false, 1), 0);
	cr_assert_eq(matcher_ready(m), 0);
	matcher_scan(m, (const uint8_t *)"aNN@[eX]ann`[ex]ann@{ex}", 24, count, sums);
	matcher_scan(m, (const uint8_t *)"exact@meExact@MeEXACT@ME", 24, count, sums);
	cr_assert_eq(sums[0].n, 1);
	cr_assert_eq(sums[1].n, 1);
	cr_assert_eq(sums[1].at, 8);
	matcher_free(m);
}
