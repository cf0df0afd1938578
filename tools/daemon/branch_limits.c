// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/branch_limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "store/cleanup.h"
#include "store/upkeep.h"
#include "tools/cli/output.h"
#include "tools/cli/parse.h"
#include "tools/daemon/config.h"

/* Looking at every file of every branch takes a while; a limit on bytes is no limit to the byte. */
#define MEASURE_EVERY_S 10

static cow_errno read_values(const struct config *c, struct branch_limits *ret, struct cow_error *e)
{
	const char *window = config_get(c, "branches", "undelete_window");
	const char *count = config_get(c, "branches", "max_branches");
	const char *bytes = config_get(c, "branches", "max_unique_bytes");
	const char *memory = config_get(c, "branches", "memory");
	const char *cpus = config_get(c, "branches", "cpus");
	const char *profile = config_get(c, "branches", "profile");
	cow_errno r = 0;

	if (window)
		r = parse_duration(window, &ret->window_ms, e);
	if (r == 0 && count)
		r = parse_number(count, 0, 1u << 30, &ret->max_branches, e);
	if (r == 0 && bytes)
		r = parse_size(bytes, &ret->max_bytes, e);
	if (r == 0 && memory)
		r = parse_size(memory, &ret->memory_bytes, e);
	if (r == 0 && cpus)
		r = parse_cpus(cpus, &ret->cpus, e);
	snprintf(ret->profile, sizeof(ret->profile), "%s", profile ? profile : "");
	return r < 0 ? cow_wrap(e, r, "cowfs.conf, section [branches]") : 0;
}

cow_errno branch_limits_read(struct engine *g, struct branch_limits *ret, struct cow_error *e)
{
	struct config *c = NULL;
	cow_errno r = config_load(cow_store_path(g->store), &c, e);

	*ret = (struct branch_limits){.window_ms = BRANCH_LIMITS_WINDOW_MS};
	if (r == 0)
		r = read_values(c, ret, e);
	config_free(c);
	return r;
}

/* --- checking --- */

/* The last measure; there is one store in a process. */
static struct {
	pthread_mutex_t lock;
	bool measured;
	int64_t at_s; /* monotonic */
	uint64_t bytes;
} own = {.lock = PTHREAD_MUTEX_INITIALIZER};

static cow_errno own_bytes(struct engine *g, uint64_t *ret)
{
	struct timespec now;
	cow_errno r = 0;
	WITH_LOCK(&own.lock);

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!own.measured || now.tv_sec - own.at_s >= MEASURE_EVERY_S) {
		r = cow_du_own(g->store, &own.bytes);
		own.measured = r == 0;
		own.at_s = now.tv_sec;
	}
	*ret = own.bytes;
	return r;
}

static cow_errno hint(struct engine *g, const char *key, struct cow_error *e)
{
	return cow_hint(e, -EDQUOT,
			"Delete branches (cowfs branch delete; cowfs branch purge gives back what "
			"deleted ones still keep), or raise %s in section [branches] of "
			"%s/cowfs.conf.",
			key, cow_store_path(g->store));
}

cow_errno branch_limits_check(struct engine *g, const struct branch_limits *l, struct cow_error *e)
{
	char have[32], may[32];
	uint64_t bytes = 0;

	if (l->max_branches) {
		uint64_t n = cow_branch_count(g->store);

		if (n >= l->max_branches) {
			cow_fail(e, -EDQUOT,
				 "the store has %llu branches, and may have no more than %llu",
				 (unsigned long long)n, (unsigned long long)l->max_branches);
			return hint(g, "max_branches", e);
		}
	}
	if (!l->max_bytes || own_bytes(g, &bytes) < 0 || bytes < l->max_bytes)
		return 0;
	output_bytes(bytes, have, sizeof(have));
	output_bytes(l->max_bytes, may, sizeof(may));
	cow_fail(e, -EDQUOT, "the branches of the store take %s, and may take no more than %s",
		 have, may);
	return hint(g, "max_unique_bytes", e);
}
