// SPDX-License-Identifier: Apache-2.0
/* tmpstore: a store in a fresh directory, for one test, and the few steps every test repeats.
 *
 * Everything here ends the test (Criterion) when it fails: a test reads as what it is about.
 * The directory is under $TMPDIR (else /tmp) and removed by tmpstore_release. */
#pragma once
#include "store/branch.h"
#include "store/file.h"
#include "store/inode.h"
#include "store/live.h"
#include "store/store.h"

struct tmpstore {
	char dir[256];  /* the temporary directory */
	char path[300]; /* the store in it */
	struct cow_store *s;
};

/* A new directory; writes its path. */
void tmpdir_make(char *ret, size_t size);
void tmpdir_remove(const char *dir);

/* Make, create and open. With `main`: an empty branch "main" too. */
void tmpstore_make(struct tmpstore *t, bool main);
void tmpstore_close(struct tmpstore *t);
void tmpstore_open(struct tmpstore *t);
void tmpstore_reopen(struct tmpstore *t);
/* Close if open, remove the directory. */
void tmpstore_release(struct tmpstore *t);

/* Runs `work` in a child that opens the store and is killed with SIGKILL afterwards (no close). The
 * store must be closed here; it stays closed. */
void tmpstore_crash(struct tmpstore *t, void (*work)(struct tmpstore *child, void *arg), void *arg);

/* --- by path relative to the branch: "a/b/c"; each acquires what it needs and lets it go --- */

struct cow_live *live_of(struct tmpstore *t, const char *branch);
/* NULL when a part does not exist; *r (may be NULL) says why. */
struct cow_inode *path_get(struct cow_live *l, const char *path, cow_errno *r);
/* Makes the regular file (and missing directories above it) or finds it. */
struct cow_inode *path_make(struct cow_live *l, const char *path);
void put_bytes(struct tmpstore *t, const char *branch, const char *path, uint64_t off,
	       const void *bytes, size_t len);
void put_text(struct tmpstore *t, const char *branch, const char *path, const char *text);
/* `len` bytes of value `byte` at `off`. */
void put_fill(struct tmpstore *t, const char *branch, const char *path, uint64_t off, size_t len,
	      int byte);
/* The whole file is exactly `text`. */
void expect_text(struct tmpstore *t, const char *branch, const char *path, const char *text);
/* The range holds `len` bytes of value `byte`. */
void expect_fill(struct tmpstore *t, const char *branch, const char *path, uint64_t off, size_t len,
		 int byte);
void expect_missing(struct tmpstore *t, const char *branch, const char *path);
void expect_size(struct tmpstore *t, const char *branch, const char *path, uint64_t size);
void sync_branch(struct tmpstore *t, const char *branch);
void branch_make(struct tmpstore *t, const char *name, const char *parent);
void branch_drop(struct tmpstore *t, const char *name);
void snapshot_make(struct tmpstore *t, const char *branch, const char *name);
/* gc, then verify: no fault and nothing leaked. */
void expect_clean(struct tmpstore *t);
/* Bytes that the extent files take on the host (allocated, not sizes). */
uint64_t host_bytes(struct tmpstore *t);
