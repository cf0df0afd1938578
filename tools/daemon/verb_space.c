// SPDX-License-Identifier: Apache-2.0
/* The verbs about space: diff, du, gc. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/upkeep.h"
#include "tools/daemon/engine.h"
#include "tools/daemon/branch_json.h"
#include "tools/daemon/json_text.h"

/* --- diff --- */

struct difference {
	json_t *files; /* NULL: only the sums are wanted */
	uint64_t added, removed, changed, blocks, bytes;
};

static const char *const kinds[] = {
    [COW_DIFF_ADDED] = "added",
    [COW_DIFF_REMOVED] = "removed",
    [COW_DIFF_CHANGED] = "changed",
};

static int add_difference(const struct cow_diff_entry *d, void *arg)
{
	struct difference *sum = arg;
	json_t *o;

	sum->added += d->kind == COW_DIFF_ADDED;
	sum->removed += d->kind == COW_DIFF_REMOVED;
	sum->changed += d->kind == COW_DIFF_CHANGED;
	sum->blocks += d->blocks;
	sum->bytes += d->bytes;
	if (!sum->files)
		return 0;
	o = json_pack("{s:o,s:s,s:o,s:o,s:o,s:o,s:b}", "path", json_text(d->path), "change",
		      kinds[d->kind], "size_a", json_count(d->size_a), "size_b",
		      json_count(d->size_b), "blocks", json_count(d->blocks), "bytes",
		      json_count(d->bytes), "attributes_only", (int)d->attr_only);
	return json_array_append_new(sum->files, o) < 0 ? -ENOMEM : 0;
}

/* {a, b, stat?: only sums} */
static cow_errno diff(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	struct difference sum = {0};
	const char *a, *b;
	cow_errno r = engine_text(args, "a", &a, e);

	if (r == 0)
		r = engine_text(args, "b", &b, e);
	if (r < 0)
		return r;
	engine_push_pages(g, a);
	engine_push_pages(g, b);
	if (!engine_flag(args, "stat"))
		sum.files = json_array();
	r = cow_diff(g->store, a, b, add_difference, &sum, e);
	if (r < 0) {
		json_decref(sum.files);
		return r;
	}
	*ret = json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "a", json_text(a), "b", json_text(b),
			 "added", json_count(sum.added), "removed", json_count(sum.removed),
			 "changed", json_count(sum.changed), "blocks", json_count(sum.blocks),
			 "bytes", json_count(sum.bytes));
	if (sum.files)
		json_object_set_new(*ret, "files", sum.files);
	return 0;
}

/* --- du --- */

static int add_name(const struct cow_branch_info *b, void *arg)
{
	return json_array_append_new(arg, json_text(b->name)) < 0 ? -ENOMEM : 0;
}

/* The branches named in `args`, or all; a new array. */
static cow_errno chosen(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	json_t *names = json_object_get(args, "branches");
	cow_errno r;

	if (json_array_size(names) > 0) {
		*ret = json_incref(names);
		return 0;
	}
	names = json_array();
	r = cow_branch_each(g->store, add_name, names);
	*ret = names;
	return r < 0 ? cow_fail(e, r, "cannot list the branches: %s", strerror(-r)) : 0;
}

static cow_errno measure(struct engine *g, const json_t *names, const char **texts, json_t *rows,
			 struct cow_error *e)
{
	const json_t *v;
	size_t k;

	json_array_foreach (names, k, v) {
		struct cow_branch_info b = {0};
		struct cow_du du;
		json_t *row;
		cow_errno r;

		texts[k] = json_string_value(v);
		if (!texts[k])
			return cow_fail(e, -EINVAL, "'branches' must hold texts");
		r = cow_du_branch(g->store, texts[k], &du, e);
		if (r == 0)
			r = cow_branch_get(g->store, texts[k], &b, e);
		if (r < 0)
			return r;
		row = json_pack("{s:o,s:o,s:o}", "name", json_text(texts[k]), "logical_size",
				json_count(du.logical), "unique_bytes", json_count(du.unique));
		branch_json_quota(g, &b, row);
		cow_branch_info_release(&b);
		json_array_append_new(rows, row);
	}
	return 0;
}

/* {branches?: [...]} */
static cow_errno du(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	json_t *names = NULL, *rows = json_array();
	const char **texts = NULL;
	uint64_t freed = 0;
	cow_errno r = chosen(g, args, &names, e);

	if (r == 0)
		texts = calloc(json_array_size(names) + 1, sizeof(*texts));
	if (r == 0)
		r = texts ? measure(g, names, texts, rows, e) : -ENOMEM;
	if (r == 0 && json_array_size(names) > 0)
		r = cow_du_freed(g->store, texts, json_array_size(names), &freed, e);
	*ret = json_pack("{s:o,s:o}", "branches", rows, "freed_bytes", json_count(freed));
	free(texts);
	json_decref(names);
	return r;
}

/* {} */
static cow_errno gc(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	struct cow_gc_result done = {0};
	cow_errno r = cow_gc_run(g->store, &done, e);

	if (r == 0)
		*ret = json_pack("{s:o,s:o,s:o,s:o,s:o}", "lineages", json_count(done.lineages),
				 "records", json_count(done.records), "blocks",
				 json_count(done.blocks), "files", json_count(done.files),
				 "freed_bytes", json_count(done.bytes));
	return r;
}

const struct engine_verb engine_verbs_space[] = {
    {"diff", diff, false},
    {"du", du, false},
    {"gc", gc, false},
    {0},
};
