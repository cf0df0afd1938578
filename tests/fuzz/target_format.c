// SPDX-License-Identifier: Apache-2.0
/* The first byte chooses the kind of record, the rest is its value. What decodes must be written
 * again as something that decodes to the same (for chunks: that is written the same). */
#include <string.h>

#include "store/format.h"
#include "tests/fuzz/fuzz.h"

/* One kind: what is decoded, encoded and decoded again must be encoded the same a second time. */
#define TARGET(kind, record, release, exact)                                                       \
	static void try_##kind(const uint8_t *data, size_t size)                                   \
	{                                                                                          \
		struct record *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));              \
		struct cow_buf once = {0}, twice = {0};                                            \
		cow_errno r = cow_##kind##_decode(data, size, a);                                  \
                                                                                                   \
		fuzz_want(r <= 0);                                                                 \
		if (r == 0) {                                                                      \
			fuzz_want(cow_##kind##_encode(a, &once) == 0);                             \
			fuzz_want(cow_##kind##_decode(once.data, once.len, b) == 0);               \
			fuzz_want(cow_##kind##_encode(b, &twice) == 0);                            \
			fuzz_want(once.len == twice.len &&                                         \
				  memcmp(once.data, twice.data, once.len) == 0);                   \
			fuzz_want(!(exact) ||                                                      \
				  (once.len == size && memcmp(once.data, data, size) == 0));       \
		}                                                                                  \
		release(a);                                                                        \
		release(b);                                                                        \
		free(a);                                                                           \
		free(b);                                                                           \
		cow_buf_release(&once);                                                            \
		cow_buf_release(&twice);                                                           \
	}

static void keep(void *rec)
{
}

TARGET(lineage, cow_lineage_rec, keep, true)
TARGET(branch, cow_branch_rec, cow_branch_release, true)
TARGET(snap, cow_snap_rec, keep, true)
TARGET(inode, cow_inode_rec, cow_inode_release, true)
TARGET(nameval, cow_name_rec, keep, true)
TARGET(chunk, cow_chunk_rec, keep, false) /* numbers of variable length have several spellings */
TARGET(sum, cow_sum_rec, keep, true)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const kinds[])(const uint8_t *, size_t) = {
	    try_lineage, try_branch, try_snap, try_inode, try_nameval, try_chunk, try_sum,
	};

	if (size)
		kinds[data[0] % (sizeof(kinds) / sizeof(*kinds))](data + 1, size - 1);
	return 0;
}
