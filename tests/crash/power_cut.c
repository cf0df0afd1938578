// SPDX-License-Identifier: Apache-2.0
/* power_cut: a store directory as a power cut may leave it, for scripts.
 *
 *   power_cut LOG BASE OUT SEED [AFTER_NS]    make OUT; everything is chosen by SEED
 *   power_cut LOG                             how many events there are, and from when to when
 *
 * Prints one line of words: events= time_ns= model= loss=. time_ns is the time at which the first
 * event that the cut left out was noted: what was acknowledged before then has to be there.
 * AFTER_NS: only cuts later than this. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/power_replay.h"

static const char *const models[] = {"ext4", "strict"};
static const char *const losses[] = {"all", "none", "prefix", "pages", "files"};

static int count(const struct power_log *l)
{
	size_t n = power_log_count(l);

	printf("events=%zu from_ns=%lld to_ns=%lld\n", n,
	       n ? (long long)power_log_event(l, 0)->time_ns : 0,
	       n ? (long long)power_log_event(l, n - 1)->time_ns : 0);
	return 0;
}

static size_t first_after(const struct power_log *l, int64_t ns)
{
	size_t k = 0;

	while (k < power_log_count(l) && power_log_event(l, k)->time_ns <= ns)
		k++;
	return k;
}

int main(int argc, char **argv)
{
	struct power_log *l = argc > 1 ? power_log_open(argv[1]) : NULL;
	struct power_cut c = {0};
	uint64_t seed;
	size_t first, n;

	if (!l)
		return 2;
	if (argc < 5)
		return count(l);
	seed = strtoull(argv[4], NULL, 10);
	n = power_log_count(l);
	first = argc > 5 ? first_after(l, strtoll(argv[5], NULL, 10)) : 0;
	if (first + 1 >= n) {
		fprintf(stderr, "power_cut: no event after that time\n");
		return 2;
	}
	c.events = first + 1 + power_random(&seed) % (n - first - 1);
	c.model = power_random(&seed) % 2 ? POWER_STRICT : POWER_EXT4;
	c.loss = (enum power_loss)(power_random(&seed) % POWER_LOSSES);
	c.seed = power_random(&seed);
	if (power_replay(l, &c, argv[2], argv[3]) < 0)
		return 1;
	printf("events=%zu time_ns=%lld model=%s loss=%s\n", c.events,
	       (long long)power_log_event(l, c.events < n ? c.events : n - 1)->time_ns,
	       models[c.model], losses[c.loss]);
	power_log_close(l);
	return 0;
}
