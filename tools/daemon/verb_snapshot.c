// SPDX-License-Identifier: Apache-2.0
/* The verbs on snapshots, and the history of a branch. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/branch.h"
#include "tools/daemon/branch_json.h"
#include "tools/daemon/engine.h"
#include "tools/daemon/history.h"
#include "tools/daemon/json_text.h"
#include "tools/daemon/private.h"

/* {branch, name?, message?, private?} */
static cow_errno create(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	struct cow_snapshot_info made = {0};
	const char *branch;
	cow_errno r = engine_text(args, "branch", &branch, e);

	if (r == 0)
		r = private_refuse(g, branch, args, "take a snapshot of", e);
	if (r < 0)
		return r;
	r = engine_before_point(g, branch, e);
	if (r < 0)
		return r;
	r = cow_snapshot_create(g->store, branch, engine_text_or_null(args, "name"),
				engine_text_or_null(args, "message"), &made, e);
	if (r == 0)
		*ret = snapshot_json(&made);
	return r;
}

static int add_snapshot(const struct cow_snapshot_info *p, void *arg)
{
	return json_array_append_new(arg, snapshot_json(p)) < 0 ? -ENOMEM : 0;
}

/* {branch?} */
static cow_errno list(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	const char *branch = engine_text_or_null(args, "branch");
	struct cow_branch_info b = {0};
	json_t *snapshots;
	cow_errno r;

	if (branch) {
		r = cow_branch_get(g->store, branch, &b, e);
		if (r < 0)
			return r;
		cow_branch_info_release(&b);
	}
	snapshots = json_array();
	r = cow_snapshot_each(g->store, branch, add_snapshot, snapshots);
	*ret = json_pack("{s:o}", "snapshots", snapshots);
	return r < 0 ? cow_fail(e, r, "cannot list the snapshots: %s", strerror(-r)) : 0;
}

/* "branch@name" into its two parts; both allocated as one block at *ret_branch. */
static cow_errno split(const char *reference, char **ret_branch, char **ret_name,
		       struct cow_error *e)
{
	char *copy = reference ? strdup(reference) : NULL;
	char *at = copy ? strchr(copy, '@') : NULL;

	if (!at || at == copy || !at[1]) {
		free(copy);
		cow_fail(e, -EINVAL, "'%s' does not name a snapshot", reference ? reference : "");
		return cow_hint(e, -EINVAL, "Write BRANCH@NAME; see: cowfs snapshot list");
	}
	*at = '\0';
	*ret_branch = copy;
	*ret_name = at + 1;
	return 0;
}

/* {names: ["branch@name", ...]} */
static cow_errno delete (struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	const json_t *names = json_object_get(args, "names"), *v;
	json_t *deleted = json_array();
	cow_errno r = 0;
	size_t k;

	json_array_foreach (names, k, v) {
		char *branch = NULL, *name = NULL;

		r = split(json_string_value(v), &branch, &name, e);
		if (r == 0)
			r = cow_snapshot_delete(g->store, branch, name, e);
		free(branch);
		if (r < 0)
			break;
		json_array_append_new(deleted, json_pack("{s:O}", "reference", v));
	}
	*ret = json_pack("{s:o}", "deleted", deleted);
	if (r < 0 && k > 0)
		cow_wrap(e, r, "%zu of %zu snapshots were deleted", k, json_array_size(names));
	return r;
}

/* --- history --- */

static int add_event(const struct cow_snapshot_info *p, void *arg)
{
	json_t *event = json_pack("{s:o,s:s,s:o,s:o}", "time", json_time(p->created_ns), "event",
				  "snapshot", "name", json_text(p->name), "message",
				  p->message[0] ? json_text(p->message) : json_null());

	return json_array_append_new(arg, event) < 0 ? -ENOMEM : 0;
}

static void add_own_event(json_t *events, const char *what, int64_t ns, const char *detail)
{
	if (ns == 0)
		return;
	json_array_append_new(events, json_pack("{s:o,s:s,s:n,s:o}", "time", json_time(ns), "event",
						what, "name", "message", json_text(detail)));
}

/* How they came is in the settings since there is a word for it; before, it was called a reset. */
static void add_new_contents(json_t *events, const struct cow_branch_info *b, const char *otherwise)
{
	json_t *settings = json_loads(b->settings ? b->settings : "{}", 0, NULL);
	json_t *contents = json_object_get(settings, "contents");
	const char *by = json_string_value(json_object_get(contents, "by"));
	const char *from = json_string_value(json_object_get(contents, "from"));
	char detail[2 * COW_BRANCH_MAX + 64];
	bool exchange = by && strcmp(by, "promote") == 0;

	snprintf(detail, sizeof(detail), exchange ? "contents exchanged with %s" : "from %s",
		 from ? from : "");
	add_own_event(events, by ? by : "reset", b->reset_ns,
		      from ? detail
		      : by ? NULL
			   : otherwise);
	json_decref(settings);
}

static int newest_first(const void *a, const void *b)
{
	const char *x = json_string_value(json_object_get(*(json_t *const *)a, "time"));
	const char *y = json_string_value(json_object_get(*(json_t *const *)b, "time"));

	return strcmp(y, x); /* one form and one zone: text order is time order */
}

static json_t *sorted(json_t *events)
{
	size_t n = json_array_size(events);
	json_t **v = calloc(n + 1, sizeof(*v)), *out = json_array();

	for (size_t k = 0; v && k < n; k++)
		v[k] = json_array_get(events, k);
	if (v)
		qsort(v, n, sizeof(*v), newest_first);
	for (size_t k = 0; v && k < n; k++)
		json_array_append(out, v[k]);
	free(v);
	json_decref(events);
	return out;
}

#define SERVER_EVENTS 100 /* as many as nobody said otherwise */

/* {branch, most?: of what its server did}: what happened to it, newest first */
static cow_errno history(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	struct cow_branch_info b = {0};
	const json_t *most = json_object_get(args, "most");
	json_t *events;
	const char *branch;
	char detail[COW_BRANCH_MAX + 32], id[BRANCH_ID_SIZE];
	cow_errno r = engine_text(args, "branch", &branch, e);

	if (r == 0)
		r = cow_branch_get(g->store, branch, &b, e);
	if (r < 0)
		return r;
	events = json_array();
	snprintf(detail, sizeof(detail), b.parent[0] ? "from %s" : "as a base of its own",
		 b.parent);
	add_own_event(events, "created", b.created_ns, detail);
	add_new_contents(events, &b, b.parent[0] ? detail : NULL);
	r = cow_snapshot_each(g->store, branch, add_event, events);
	branch_id_text(b.id, id);
	history_read(cow_store_path(g->store), id,
		     json_is_integer(most) ? (size_t)json_integer_value(most) : SERVER_EVENTS,
		     events);
	*ret = json_pack("{s:o,s:o}", "branch", json_text(b.name), "events", sorted(events));
	cow_branch_info_release(&b);
	return r < 0 ? cow_fail(e, r, "cannot list the snapshots: %s", strerror(-r)) : 0;
}

const struct engine_verb engine_verbs_snapshot[] = {
    {"snapshot.create", create, false},
    {"snapshot.list", list, false},
    {"snapshot.delete", delete, false},
    {"log", history, false},
    {0},
};
