// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pgprofile.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/cli/parse.h"

#define POSTGRES_DEFAULT (128ull << 20) /* shared_buffers when nobody says anything */

static const char *const small[][2] = {
    {"wal_buffers", "1MB"},
    {"autovacuum_max_workers", "1"},
    {NULL, NULL},
};

static const struct pgprofile profiles[] = {
    {"small", 32ull << 20, small},
    {"standard", 128ull << 20, NULL},
    {"inherit", 0, NULL},
};

const struct pgprofile *pgprofile_find(const char *name)
{
	for (size_t k = 0; k < sizeof(profiles) / sizeof(profiles[0]); k++)
		if (strcmp(profiles[k].name, name) == 0)
			return &profiles[k];
	return NULL;
}

const struct pgprofile *pgprofile_default(bool base)
{
	return pgprofile_find(base ? "inherit" : "standard");
}

/* What the server would take: bytes. */
static uint64_t asked(const char *conf)
{
	uint64_t bytes;
	char text[64];

	if (!cow_pgconf_get(conf, "shared_buffers", text, sizeof(text)) || !text[0] ||
	    parse_size(text, &bytes, NULL) < 0)
		return POSTGRES_DEFAULT;
	if (isdigit((unsigned char)text[strlen(text) - 1]))
		bytes *= 8192; /* a bare number counts blocks */
	return bytes;
}

cow_errno pgprofile_apply(const struct pgprofile *p, const char *conf, struct cow_pgconf_list *l)
{
	uint64_t most = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 4;
	char text[64];
	cow_errno r = 0;

	if (p->shared_buffers)
		most = COW_MIN(most, p->shared_buffers);
	if (asked(conf) > most) {
		snprintf(text, sizeof(text), "%lluMB", (unsigned long long)(most >> 20));
		r = cow_pgconf_list_set(l, "shared_buffers", text);
	}
	for (size_t k = 0; r == 0 && p->others && p->others[k][0]; k++)
		r = cow_pgconf_list_set(l, p->others[k][0], p->others[k][1]);
	return r;
}
