// SPDX-License-Identifier: Apache-2.0
/* power_plan: what the workload of the power tests does, and what must be found after a cut.
 *
 * A plan is a row of operations that follows from a seed alone, so the process that is recorded and
 * the process that checks know the same one. Carrying it out in plain memory gives, for every
 * operation, the names, snapshots and branches as they are after it, and for every file each
 * version of every page and size, with the operations that made them durable.
 *
 * Names, branches and snapshots are in the map, which loses changes only from the end: after a cut
 * all of them together are as after one operation. Pages and sizes are each for itself. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

enum {
	PLAN_BRANCHES = 4,
	PLAN_EPHEMERAL = 3, /* this one, when it is there: only its snapshots and children last */
	PLAN_NAMES = 6,     /* the last two are in the directory d */
	PLAN_SNAPSHOTS = 256,
	PLAN_PAGE = 4096,
	PLAN_NEAR = 20,  /* pages at the beginning of a file ... */
	PLAN_PAGES = 40, /* ... and on both sides of the first chunk's end */
	PLAN_FAR_PAGE = 2038
};

enum plan_kind {
	PLAN_SETUP, /* make the store, branch b0, directory d; sync */
	PLAN_CREATE,
	PLAN_WRITE,
	PLAN_WRITE_DSYNC,
	PLAN_FSYNC,
	PLAN_FDATASYNC,
	PLAN_TRUNCATE,
	PLAN_PUNCH,
	PLAN_ALLOCATE,
	PLAN_RENAME,
	PLAN_LINK,
	PLAN_UNLINK,
	PLAN_SNAPSHOT,
	PLAN_SNAPSHOT_DELETE,
	PLAN_BRANCH,
	PLAN_BRANCH_DELETE,
	PLAN_RESTORE, /* over a snapshot of any branch */
	PLAN_GC,
	PLAN_TRIMS, /* what the background does with freed blocks */
	PLAN_SYNC_BRANCH,
	PLAN_SYNC_STORE,
	PLAN_REOPEN, /* a clean close */
	PLAN_KINDS
};

struct plan_op {
	enum plan_kind kind;
	int branch, name, name2; /* name2: of rename and link; of branch: the new slot */
	int snapshot;            /* number */
	uint64_t off, len;
	uint8_t fill;
};

struct plan_world {
	struct {
		bool there;
		int words;            /* the restore that the settings speak of; 0 = none */
		int file[PLAN_NAMES]; /* -1 = no such name */
		bool snapshot[PLAN_SNAPSHOTS];
	} branch[PLAN_BRANCHES];
};

struct plan_version {
	int op;
	uint64_t size;           /* of a size */
	const uint8_t *bytes;    /* of a page; NULL = zeroes */
	int lo, hi;              /* of a page: the bytes that changed */
	bool truncated, punched; /* how, if not by a write */
};

struct plan_history {
	struct plan_version *v;
	size_t n, cap;
};

struct plan_file {
	struct plan_history size, page[PLAN_PAGES];
	struct {
		int op, first, last; /* pages [first, last) and the size were durable after op */
	} * durable;
	size_t n_durable;
};

struct plan_snapshot {
	int op, branch;
	int file[PLAN_NAMES];
};

struct plan {
	size_t n;
	struct plan_op *op;
	struct plan_world *after; /* [k] = after operation k */
	int *names_durable; /* [k] = newest operation whose names an acknowledged k makes durable */
	struct plan_file *file;
	size_t n_files;
	struct plan_snapshot snapshot[PLAN_SNAPSHOTS];
	int n_snapshots;
};

/* `n` operations after the setup. */
struct plan *plan_random(uint64_t seed, size_t n);
/* Setup, a file of three blocks that a snapshot holds, then the letters in order: c create, w
 * write, s fsync, r rename, t truncate, p snapshot, d delete. A letter that has no file to work on
 * is left out. */
struct plan *plan_letters(const char *letters);
void plan_free(struct plan *p);

/* Build by hand: an operation that is not possible in the present state is left out (false). */
struct plan *plan_new(void);
bool plan_add(struct plan *p, const struct plan_op *op);

const char *plan_kind_name(enum plan_kind k);
void plan_print(const struct plan *p, int first, int last); /* to stderr */
const char *plan_name(int name);                            /* "n0" .. "d/n5" */
uint64_t plan_page_offset(int page);
/* First page of a file that holds byte `off`, or the next one that is looked at. */
const struct plan_version *plan_version_at(const struct plan_history *h, int op);

/* --- power_run.c: carry it out --- */
struct cow_kv;
struct plan_run {
	const char *path;
	struct cow_kv *(*open_kv)(void *arg); /* NULL = the store's own */
	void *arg;
	void (*mark)(const char *text); /* "B 12" before an operation, "E 12" after it */
};
/* The index of the operation that failed (a word on stderr), or -1. The store stays open: the
 * caller ends by _exit, as a power cut would. */
int plan_run(const struct plan *p, const struct plan_run *how);

/* --- power_check.c --- */
/* Is this store what may be left when operations up to `acked` had answered and `begun` (acked or
 * acked + 1) had been started? A word on stderr for each thing that is not. `deep`: collect
 * garbage, verify, write, reopen, and look again. */
bool plan_check(const struct plan *p, const char *path, struct cow_kv *kv, int acked, int begun,
		bool deep);
