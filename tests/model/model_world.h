// SPDX-License-Identifier: Apache-2.0
/* model_world: a store and its oracle side by side, and what the random test does to both.
 *
 * Every step is done to the store and to the model; the answers must agree, and world_compare finds
 * every byte in which they do not. A difference ends the test with the seed and the last steps. One
 * thread: what this shows is meaning, not races. */
#pragma once
#include "tests/lib/tmpstore.h"
#include "tests/model/model.h"

enum { BRANCHES = 6, SNAPSHOTS = 12, HANDLES = 5, DELETED = 2, TRACE = 400 };

struct world_branch {
	char name[32]; /* "" = free slot */
	struct model *m;
	struct cow_live *live; /* acquired when needed, kept over steps */
};

struct world_snapshot {
	char name[32]; /* unique in the store, so that its branch can be found again */
	char branch[COW_BRANCH_MAX + 1];
	struct model *m;
};

/* A branch that was deleted and can be had back, with its snapshots. */
struct world_deleted {
	uint64_t id; /* 0 = free slot */
	char name[32];
	struct model *m;
	struct world_snapshot s[SNAPSHOTS];
};

struct world_handle {
	struct cow_inode *i; /* open for writing; NULL = free slot */
	struct model_node *n;
	int branch;
};

struct world {
	struct tmpstore t;
	uint64_t seed, rng, steps;
	unsigned counter; /* for names that were never used */
	struct world_branch b[BRANCHES];
	struct world_snapshot s[SNAPSHOTS];
	struct world_deleted d[DELETED];
	struct world_handle h[HANDLES];
	char (*trace)[200];
	unsigned n_trace;
};

void world_make(struct world *w, uint64_t seed);
void world_end(struct world *w);

uint64_t world_random(struct world *w, uint64_t below);
void world_note(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints seed and steps, and ends the test. */
_Noreturn void world_die(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
#define WORLD_CHECK(w, cond, ...)                                                                  \
	do {                                                                                       \
		if (!(cond))                                                                       \
			world_die(w, __VA_ARGS__);                                                 \
	} while (0)

struct cow_live *world_live(struct world *w, int branch);
int world_pick_branch(struct world *w);                /* a used slot, or -1 */
int world_free_branch(struct world *w);                /* a free slot, or -1 */
bool world_is_open(struct world *w, int branch);       /* the test holds files of it open */
void world_close_handles(struct world *w, int branch); /* -1 = of all */
void world_drop_live(struct world *w, int branch);
void world_make_base(struct world *w);

void world_file_step(struct world *w);             /* world_files.c */
void world_branch_step(struct world *w);           /* world_branches.c */
void world_forget_deleted(struct world *w, int k); /* and purge it */
void world_undelete(struct world *w, int k);       /* if there is a slot for it */

/* world_compare.c: every branch and snapshot, name by name and byte by byte. */
void world_compare(struct world *w);
void world_compare_branch(struct world *w, int branch);
