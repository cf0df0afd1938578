// SPDX-License-Identifier: Apache-2.0
/* leaks: space that nothing needs. There is one place that decides what is needed (needs.h) and one
 * that frees (reclaim.c); a leak is what a run of it would free. */
#include <errno.h>

#include "store/core.h"

cow_errno cow_leaks(struct cow_store *s, bool repair, uint64_t *ret_bytes, uint64_t *ret_repaired,
		    struct cow_error *e)
{
	struct cow_gc_result got = {0};
	cow_errno r = repair ? cow_gc_run(s, &got, e) : 0;

	*ret_bytes = got.bytes;
	*ret_repaired = got.files + got.lineages;
	return r;
}
