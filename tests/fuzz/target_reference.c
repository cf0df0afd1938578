// SPDX-License-Identifier: Apache-2.0
/* What people type: names of branches, references to points, times, sizes, durations. Each text
 * goes to all of them; the references against a real store. */
#include <string.h>

#include "store/core.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/kv_mem.h"
#include "tools/cli/parse.h"

static struct fuzz_store t;

static void refer(const char *text)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_ref ref;
	cow_errno r = cow_ref_resolve(t.s, text, "child", &ref, &e);

	fuzz_want(r == 0 || e.text[0]);
	if (r == 0)
		cow_branch_release(&ref.branch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *at = malloc(strlen(text) + 10), buf[PARSE_TIME_SIZE];
	uint64_t u;
	int64_t ns;

	if (!t.s)
		fuzz_store_make(&t);
	if (parse_time(text, &ns, NULL) == 0)
		parse_time_format(ns, buf, sizeof(buf));
	parse_size(text, &u, NULL);
	parse_duration(text, &u, NULL);
	parse_number(text, 1, 1000, &u, NULL);
	parse_distance(text, "snapshot");
	cow_branch_name_check(text, NULL);
	refer(text);
	sprintf(at, "main@%s", text);
	refer(at);
	free(at);
	free(text);
	return 0;
}
