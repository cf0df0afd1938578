// SPDX-License-Identifier: Apache-2.0
/* upkeep: what looks at whole lineages: space, differences, garbage, checks.
 *
 * All of these run beside a mounted store and take no lock that a file operation waits for. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/branch.h"

/* --- space --- */
struct cow_du {
	uint64_t logical; /* bytes: sum of file sizes the branch shows */
	uint64_t unique;  /* bytes in blocks that only this branch (with its snapshots) sees */
};
cow_errno cow_du_branch(struct cow_store *s, const char *name, struct cow_du *ret,
			struct cow_error *e);
/* Bytes that come back if all the named branches (with their snapshots) were deleted. */
cow_errno cow_du_freed(struct cow_store *s, const char *const *names, size_t n, uint64_t *ret,
		       struct cow_error *e);

/* Bytes on the host of all lineages that began over another one: what branches take beside their
 * bases, with what waits for gc and what deleted branches keep. Looks at every extent file. */
cow_errno cow_du_own(struct cow_store *s, uint64_t *ret);

/* --- differences: two references as in branch.h --- */
enum cow_diff_kind { COW_DIFF_ADDED, COW_DIFF_REMOVED, COW_DIFF_CHANGED };
struct cow_diff_entry {
	enum cow_diff_kind kind;
	const char *path; /* relative to the branch; borrowed */
	uint64_t size_a, size_b;
	uint64_t blocks; /* blocks whose contents differ */
	uint64_t bytes;  /* the same in bytes, cut at the end of the file */
	bool attr_only;  /* contents equal; mode, owner or type differ */
};
cow_errno cow_diff(struct cow_store *s, const char *a, const char *b,
		   int (*each)(const struct cow_diff_entry *d, void *arg), void *arg,
		   struct cow_error *e);

/* --- garbage --- */
struct cow_gc_result {
	uint64_t lineages, records, blocks, files; /* dropped, dropped, punched, unlinked */
	uint64_t bytes;
};
/* Do now what the background does anyway: drop every version that no point can see, free its space.
 */
cow_errno cow_gc_run(struct cow_store *s, struct cow_gc_result *ret, struct cow_error *e);

/* --- checks --- */
struct cow_fault {
	const char *branch, *path;           /* "" when unknown */
	uint64_t lineage, epoch, ino, block; /* block UINT64_MAX = not about one block */
	const char *what;
	bool repairable;
};
struct cow_verify_result {
	uint64_t branches, files, blocks, sums_checked, sums_missing, faults, repaired,
	    leaked_bytes;
};
/* Walk the named branches (n 0 = all, and the store as a whole: leaks, lineages, counters) with
 * their snapshots; report each fault. Sealed extent files are checked against their sums; missing
 * sums are made first. repair: drop what is provably garbage (leaks); never touches data that is
 * referenced. progress(done, total) in bytes, may be NULL. */
cow_errno cow_verify(struct cow_store *s, const char *const *names, size_t n, bool repair,
		     void (*fault)(const struct cow_fault *f, void *arg),
		     void (*progress)(uint64_t done, uint64_t total, void *arg), void *arg,
		     struct cow_verify_result *ret, struct cow_error *e);
