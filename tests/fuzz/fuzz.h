// SPDX-License-Identifier: Apache-2.0
/* fuzz: one function per target that takes any bytes and must neither crash, hang nor leak.
 *
 * Built with clang and -DCOWFS_FUZZ=ON libFuzzer makes the bytes (see tests/README.md); otherwise
 * fuzz_main.c gives it the saved corpus, so that each input ever found stays tested. A target that
 * finds a property broken calls fuzz_want. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define fuzz_want(expr)                                                                            \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #expr);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* The bytes as text, cut at the first NUL; free it. */
char *fuzz_text(const uint8_t *data, size_t size);

/* --- fuzz_store.c --- */
struct cow_store;
struct cow_kv;
/* A store in a fresh directory in memory, over a map in memory: an empty branch "main" with a few
 * files, snapshots "one" and "two", a branch "child" of main and "grand/child" of main@one. Every
 * call makes the same one. */
struct fuzz_store {
	struct cow_store *s;
	struct kv_mem_disk *disk;
	char dir[64];
};
void fuzz_store_make(struct fuzz_store *t);
/* Closed and opened again over the same map; s NULL when it refuses. */
void fuzz_store_reopen(struct fuzz_store *t);
void fuzz_store_release(struct fuzz_store *t);
