// SPDX-License-Identifier: Apache-2.0
/* pq: where the functions of libpq are, once they are loaded. */
#include "tools/pg/pq.h"

#include "store/library.h"

struct cow_pq cow_pq;

#define X(f) {"PQ" #f, &cow_pq.p_##f},
static const struct cow_symbol symbols[] = {PQ_FUNCTIONS(X)};
#undef X

static struct cow_library library = {
    .file = COWFS_LIBPQ_FILE,
    .what = "libpq",
    .symbols = symbols,
    .n = sizeof(symbols) / sizeof(symbols[0]),
    .lock = PTHREAD_MUTEX_INITIALIZER,
};

cow_errno cow_pq_load(struct cow_error *e)
{
	return cow_library_load(&library, e);
}
