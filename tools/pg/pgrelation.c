// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pgrelation.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/pg/pg.h"
#include "tools/pg/pgbranch.h"
#include "tools/pg/pgvisit.h"

enum {
	SEGMENT_BLOCKS = 131072, /* 1 GiB, as every distribution builds it */
	ASKED_MAX = 200          /* a store that is damaged all over is not asked about for ever */
};

/* Digits of *p, which moves behind them. False: none, or no 32-bit number. */
static bool number(const char **p, uint32_t *ret)
{
	size_t n = strspn(*p, "0123456789");
	unsigned long long v = strtoull(*p, NULL, 10);

	if (n == 0 || n > 10 || v > UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	*p += n;
	return true;
}

static bool skip(const char **p, const char *text)
{
	size_t n = strlen(text);

	if (strncmp(*p, text, n) != 0)
		return false;
	*p += n;
	return true;
}

/* The directory: base/DATABASE/, global/ or pg_tblspc/TABLESPACE/VERSION/DATABASE/. */
static bool directory(const char **p, struct pgrelation *ret)
{
	if (skip(p, "global/"))
		return true;
	if (skip(p, "base/"))
		return number(p, &ret->database) && skip(p, "/");
	if (!skip(p, "pg_tblspc/") || !number(p, &ret->tablespace) || !skip(p, "/PG_"))
		return false;
	*p += strcspn(*p, "/");
	return skip(p, "/") && number(p, &ret->database) && skip(p, "/");
}

bool pgrelation_of(const char *path, uint64_t block, struct pgrelation *ret)
{
	static const char *const forks[] = {"fsm", "vm", "init"};
	const char *p = path;
	uint32_t segment = 0;

	*ret = (struct pgrelation){.fork = "main", .block = block};
	if (!directory(&p, ret) || !number(&p, &ret->filenode))
		return false;
	for (size_t k = 0; *p == '_' && k < sizeof(forks) / sizeof(*forks); k++) {
		size_t n = strlen(forks[k]);

		if (strncmp(p + 1, forks[k], n) == 0 && (p[n + 1] == '\0' || p[n + 1] == '.')) {
			memcpy(ret->fork, forks[k], n + 1);
			p += n + 1;
		}
	}
	if (*p == '.' && (p++, !number(&p, &segment)))
		return false;
	if (block != UINT64_MAX)
		ret->block += (uint64_t)segment * SEGMENT_BLOCKS;
	return *p == '\0';
}

void pgrelation_text(const struct pgrelation *r, const char *name, char *buf, size_t size)
{
	char where[64] = "", fork[32] = "", block[40] = "";

	if (r->database)
		snprintf(where, sizeof(where), " of database %" PRIu32, r->database);
	else
		snprintf(where, sizeof(where), " of all databases");
	if (strcmp(r->fork, "main") != 0)
		snprintf(fork, sizeof(fork), ", fork %s", r->fork);
	if (r->block != UINT64_MAX)
		snprintf(block, sizeof(block), ", block %" PRIu64, r->block);
	if (*name)
		snprintf(buf, size, "%s%s%s", name, fork, block);
	else
		snprintf(buf, size, "file node %" PRIu32 "%s%s%s", r->filenode, where, fork, block);
}

/* --- the server --- */

static cow_errno ask(const struct pgbranch *b, void *arg, json_t **ret, struct cow_error *e)
{
	const struct pgrelation *r = arg;
	const struct pg_address at = {
	    .host = b->state.socket_dir, .port = b->state.port, .user = b->user};
	char name[sizeof(((struct pgrelation_names *)0)->name)];
	cow_errno err = cow_pg_relation_name(&at, r, name, sizeof(name), e);

	*ret = err == 0 ? json_string(name) : NULL;
	return err;
}

static bool same_file(const struct pgrelation *a, const struct pgrelation *b)
{
	return a->tablespace == b->tablespace && a->database == b->database &&
	       a->filenode == b->filenode;
}

void pgrelation_name(struct command_call *call, struct pgrelation_names *names, const char *branch,
		     const struct pgrelation *r, char *ret, size_t size)
{
	const struct cow_error before = call->error;
	struct pgbranch b;
	json_t *answer = NULL;

	*ret = '\0';
	if (strcmp(branch, names->branch) == 0) {
		if (!names->runs || same_file(r, &names->last)) {
			snprintf(ret, size, "%s", names->runs ? names->name : "");
			return;
		}
	}
	if (names->asked >= ASKED_MAX)
		return;
	names->asked++;
	names->runs =
	    pgbranch_find(call, branch, (struct pgbranch_port){0}, &b) == 0 && b.state.ready;
	snprintf(names->branch, sizeof(names->branch), "%s", branch);
	names->last = *r;
	names->name[0] = '\0';
	if (names->runs && pgvisit_as_owner(&b, ask, (void *)r, &answer, &call->error) == 0)
		snprintf(names->name, sizeof(names->name), "%s", json_string_value(answer));
	json_decref(answer);
	call->error = before;
	snprintf(ret, size, "%s", names->name);
}
