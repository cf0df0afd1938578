// SPDX-License-Identifier: Apache-2.0
/* pgrelation: which relation a file of a branch belongs to.
 *
 * The path alone says tablespace, database, file node, fork and block; what they are called only a
 * server knows. Guarantee: it is asked where it runs already, and never started for this. Names are
 * those of now: a file of an older point may have belonged to another relation that was there
 * before, which the server then does not know by this number. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command_call;

struct pgrelation {
	uint32_t tablespace; /* oid; 0 = the default one of the database */
	uint32_t database;   /* oid; 0 = shared by all */
	uint32_t filenode;
	char fork[8];   /* "main", "fsm", "vm", "init" */
	uint64_t block; /* in the fork, over its segments; UINT64_MAX = not about one block */
};

/* `path` is relative to the branch, `block` counts in that file (UINT64_MAX = none). False: no file
 * of a relation. */
bool pgrelation_of(const char *path, uint64_t block, struct pgrelation *ret);

/* "public.orders in shop, block 7"; `name` "" = unknown: "file node 16397 of database 5, ...". */
void pgrelation_text(const struct pgrelation *r, const char *name, char *buf, size_t size);

/* What was found out for one command; zero-initialised. */
struct pgrelation_names {
	char branch[512]; /* the last one asked about */
	bool runs;
	struct pgrelation last;
	char name[512];
	unsigned asked;
};

/* `ret` "" when the server of the branch does not run, cannot be asked or does not know. */
void pgrelation_name(struct command_call *call, struct pgrelation_names *names, const char *branch,
		     const struct pgrelation *r, char *ret, size_t size);
