// SPDX-License-Identifier: Apache-2.0
/* Requests on the control socket, one JSON value a line, against a store of their own: every verb
 * with any arguments. Answered with a result or with an error that has a text; the store is without
 * a fault afterwards. Not called: import, which reads what its argument names on this machine. */
#include <string.h>

#include "store/upkeep.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/kv_mem.h"
#include "tools/daemon/engine.h"
#include "tools/daemon/shared.h"

static void ask(struct engine *g, const char *line)
{
	json_t *request = json_loads(line, 0, NULL), *result = NULL, *empty = json_object();
	const char *verb = json_string_value(json_object_get(request, "verb"));
	const json_t *args = json_object_get(request, "args");
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r;

	if (verb && strcmp(verb, "import") != 0) {
		r = engine_call(g, verb, args ? args : empty, &result, &e);
		fuzz_want(r == 0 || e.text[0]);
		fuzz_want(r < 0 || json_is_object(result));
		if (r == 0) {
			char *text = json_dumps(result, JSON_COMPACT);

			fuzz_want(text);
			free(text);
		}
		json_decref(result);
	}
	json_decref(empty);
	json_decref(request);
}

static void fault(const struct cow_fault *f, void *arg)
{
	fprintf(stderr, "%s/%s: %s\n", f->branch, f->path, f->what);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *save = NULL, *line;
	struct cow_verify_result v;
	struct fuzz_store t;
	struct engine_shared shared = ENGINE_SHARED_INIT;
	struct engine g = {.shared = &shared};
	int n = 0;

	fuzz_store_make(&t);
	g.store = t.s;
	for (line = strtok_r(text, "\n", &save); line && n < 20; n++) {
		ask(&g, line);
		line = strtok_r(NULL, "\n", &save);
	}
	fuzz_want(cow_verify(t.s, NULL, 0, false, fault, NULL, NULL, &v, NULL) == 0);
	fuzz_want(v.faults == 0);
	fuzz_store_release(&t);
	free(text);
	return 0;
}
