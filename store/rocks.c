// SPDX-License-Identifier: Apache-2.0
/* rocks: where the functions of RocksDB are, once they are loaded. */
#include "store/rocks.h"

#include "store/library.h"

struct cow_rocks cow_rocks;

#define X(f) {"rocksdb_" #f, &cow_rocks.p_##f},
static const struct cow_symbol symbols[] = {ROCKS_FUNCTIONS(X)};
#undef X

static struct cow_library library = {
    .file = COWFS_ROCKSDB_FILE,
    .what = "RocksDB",
    .symbols = symbols,
    .n = sizeof(symbols) / sizeof(symbols[0]),
    .lock = PTHREAD_MUTEX_INITIALIZER,
};

cow_errno cow_rocks_load(struct cow_error *e)
{
	return cow_library_load(&library, e);
}
