// SPDX-License-Identifier: Apache-2.0
/* The verb verify: faults are data of its result, not an error of the verb. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/upkeep.h"
#include "tools/daemon/engine.h"
#include "tools/daemon/json_text.h"

/* A store that is damaged all over would fill memory with its faults; the sum counts all of them.
 */
#define FAULTS_LISTED_MAX 10000

struct check {
	struct engine *g;
	json_t *faults;
};

static void add_fault(const struct cow_fault *f, void *arg)
{
	struct check *c = arg;
	json_t *o;

	if (json_array_size(c->faults) >= FAULTS_LISTED_MAX)
		return;
	o = json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:b}", "branch", json_text(f->branch), "path",
		      json_text(f->path), "what", json_text(f->what), "lineage",
		      json_count(f->lineage), "epoch", json_count(f->epoch), "inode",
		      json_count(f->ino), "block",
		      f->block == UINT64_MAX ? json_null() : json_count(f->block), "repairable",
		      (int)f->repairable);
	json_array_append_new(c->faults, o);
}

static void forward(uint64_t done, uint64_t total, void *arg)
{
	struct check *c = arg;

	engine_progress(c->g, done, total);
}

static json_t *result_json(const struct cow_verify_result *v, json_t *faults)
{
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "branches", json_count(v->branches),
			 "files", json_count(v->files), "sums_checked", json_count(v->sums_checked),
			 "sums_missing", json_count(v->sums_missing), "fault_count",
			 json_count(v->faults), "repaired", json_count(v->repaired), "leaked_bytes",
			 json_count(v->leaked_bytes), "faults", faults);
}

/* {branches?: [...], repair?} */
static cow_errno verify(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	const json_t *names = json_object_get(args, "branches");
	size_t n = json_array_size(names);
	const char **texts = calloc(n + 1, sizeof(*texts));
	struct check c = {g, json_array()};
	struct cow_verify_result v = {0};
	cow_errno r = texts ? 0 : cow_fail(e, -ENOMEM, "out of memory");

	for (size_t k = 0; r == 0 && k < n; k++) {
		texts[k] = json_string_value(json_array_get(names, k));
		if (!texts[k])
			r = cow_fail(e, -EINVAL, "'branches' must hold texts");
	}
	if (r == 0)
		r = cow_verify(g->store, texts, n, engine_flag(args, "repair"), add_fault, forward,
			       &c, &v, e);
	free(texts);
	*ret = result_json(&v, c.faults);
	return r;
}

const struct engine_verb engine_verbs_verify[] = {
    {"verify", verify, false},
    {0},
};
