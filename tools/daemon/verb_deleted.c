// SPDX-License-Identifier: Apache-2.0
/* The verbs that delete branches, and those on branches that were deleted.
 *
 * A deleted branch can be had back for a while (store/branch.h); how long is the business of the
 * configuration. Its port stays its own for that time, so that its URL is the same afterwards. */
#include "tools/daemon/verb_deleted.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/cli/parse.h"
#include "tools/daemon/branch_json.h"
#include "tools/daemon/branch_limits.h"
#include "tools/daemon/json_text.h"
#include "tools/daemon/old_logs.h"
#include "tools/daemon/private.h"
#include "tools/pg/running.h"

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- delete --- */

/* A protected branch keeps its contents and its name unless it is said with force. */
cow_errno verb_refuse_protected(const char *name, const json_t *settings, bool force,
				const char *what, struct cow_error *e)
{
	if (force || !json_is_true(json_object_get(settings, "protected")))
		return 0;
	cow_fail(e, -EBUSY, "cannot %s %s: it is protected", what, name);
	return cow_hint(e, -EBUSY,
			"Repeat the command with --force, or end the protection: cowfs branch set "
			"%s --protected no",
			name);
}

struct deletion {
	const char *name;
	bool force;
	bool expired; /* only if its time to live is over */
};

/* A time to live that was made longer in the meantime holds. */
static cow_errno refuse_living(const struct deletion *d, const json_t *settings,
			       struct cow_error *e)
{
	const char *text = json_string_value(json_object_get(settings, "expires_at"));
	int64_t ns = INT64_MAX;

	if (!d->expired || (text && parse_time(text, &ns, NULL) == 0 && ns <= now_ns()))
		return 0;
	return cow_fail(e, -EAGAIN, "%s does not expire now", d->name);
}

/* A cow_branch_edit_fn. Settings that cannot be read are no reason to keep a branch. */
static cow_errno may_go(void *arg, const char *was, char **ret, struct cow_error *e)
{
	const struct deletion *d = arg;
	json_t *settings = json_loads(was ? was : "{}", 0, NULL);
	cow_errno r = verb_refuse_protected(d->name, settings, d->force, "delete", e);

	if (r == 0)
		r = refuse_living(d, settings, e);
	json_decref(settings);
	*ret = r == 0 ? strdup(was ? was : "{}") : NULL;
	return r == 0 && !*ret ? cow_fail(e, -ENOMEM, "no memory for settings") : r;
}

/* All or nothing where it can be known beforehand: names, protection, running servers. */
static cow_errno check_deletable(struct engine *g, const json_t *args, struct cow_error *e)
{
	const json_t *names = json_object_get(args, "names"), *v;
	size_t k;

	json_array_foreach (names, k, v) {
		const char *name = json_string_value(v);
		struct cow_branch_info b = {0};
		json_t *settings;
		cow_errno r;

		if (!name)
			return cow_fail(e, -EINVAL, "'names' must hold texts");
		r = cow_branch_get(g->store, name, &b, e);
		if (r < 0)
			return r;
		settings = json_loads(b.settings ? b.settings : "{}", 0, NULL);
		r = verb_refuse_protected(name, settings, engine_flag(args, "force"), "delete", e);
		json_decref(settings);
		cow_branch_info_release(&b);
		if (r == 0)
			r = running_refuse(g, name, "delete", e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Until when they can be had back; 0 = not at all. */
static cow_errno end_of_window(struct engine *g, const json_t *args, int64_t *ret,
			       struct cow_error *e)
{
	const json_t *keep = json_object_get(args, "keep_ms");
	struct branch_limits limits;
	cow_errno r = branch_limits_read(g, &limits, e);

	if (json_is_integer(keep) && json_integer_value(keep) >= 0)
		limits.window_ms = (uint64_t)json_integer_value(keep);
	if (limits.window_ms > INT64_MAX / 1000000 / 2)
		limits.window_ms = INT64_MAX / 1000000 / 2;
	*ret = limits.window_ms ? now_ns() + (int64_t)limits.window_ms * 1000000 : 0;
	return r;
}

/* Asks again what may have changed since the look before, in one step with the deletion. */
static cow_errno delete_one(struct engine *g, struct deletion *d, int64_t until, json_t *deleted,
			    struct cow_error *e)
{
	const char *name = d->name;
	struct cow_branch_info b = {0};
	bool kept = false;
	cow_errno r = cow_branch_get(g->store, name, &b, e);

	if (r < 0)
		return r;
	/* What nobody may see is not kept for somebody to have back. */
	if (private_is(&b))
		until = 0;
	r = running_explain(g, name,
			    cow_branch_delete_until(g->store, name, until, may_go, d, &kept, e), e);
	if (r == 0)
		json_array_append_new(deleted, json_pack("{s:o,s:o,s:o}", "name", json_text(name),
							 "id", branch_id_json(b.id), "purge_at",
							 json_time(kept ? until : 0)));
	cow_branch_info_release(&b);
	return r;
}

/* Whoever holds files of these branches may hang in a write that waits for room: with `wait` false
 * it fails, and a server that has no other way on ends. */
static void set_waiting(struct engine *g, const json_t *names, bool wait)
{
	const struct timespec pause = {.tv_nsec = 50 * 1000000};
	const json_t *v;
	size_t k;

	json_array_foreach (names, k, v) {
		const char *name = json_string_value(v);
		struct cow_store_stat st;

		cow_store_stat(g->store, &st);
		if (name)
			cow_branch_set_waiting(g->store, name, wait, NULL);
		for (int tries = 0; name && !wait && st.room.waiting && tries < 40 &&
				    cow_branch_open_files(g->store, name) > 0;
		     tries++)
			nanosleep(&pause, NULL);
	}
}

/* {names: [...], force?, expired?: only those whose time is over, keep_ms?: instead of the window
 * of the configuration} */
static cow_errno delete (struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	const json_t *names = json_object_get(args, "names"), *v;
	json_t *deleted;
	int64_t until = 0;
	cow_errno r;
	size_t k;

	if (json_array_size(names) == 0)
		return cow_fail(e, -EINVAL, "'names' must be a list of branches");
	if (engine_flag(args, "force"))
		set_waiting(g, names, false);
	r = check_deletable(g, args, e);
	if (r == 0)
		r = end_of_window(g, args, &until, e);
	if (r < 0)
		set_waiting(g, names, true);
	if (r < 0)
		return r;
	deleted = json_array();
	json_array_foreach (names, k, v) {
		struct deletion d = {.name = json_string_value(v),
				     .force = engine_flag(args, "force"),
				     .expired = engine_flag(args, "expired")};

		r = delete_one(g, &d, until, deleted, e);
		if (r < 0)
			break;
	}
	*ret = json_pack("{s:o}", "deleted", deleted);
	old_logs_remove(g);
	if (r < 0 && k > 0)
		cow_wrap(e, r, "%zu of %zu branches were deleted", k, json_array_size(names));
	return r;
}

/* --- what was deleted --- */

static int add_deleted(const struct cow_deleted_info *d, void *arg)
{
	json_t *o = json_pack("{s:o,s:o,s:o,s:o,s:o}", "name", json_text(d->b.name), "id",
			      branch_id_json(d->b.id), "parent",
			      d->b.parent[0] ? json_text(d->b.parent) : json_null(), "deleted_at",
			      json_time(d->deleted_ns), "purge_at", json_time(d->until_ns));

	return json_array_append_new(arg, o) < 0 ? -ENOMEM : 0;
}

/* {} */
static cow_errno list(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	json_t *all = json_array();
	cow_errno r = cow_deleted_each(g->store, add_deleted, all);

	*ret = json_pack("{s:o}", "deleted", all);
	return r < 0 ? cow_fail(e, r, "cannot list deleted branches: %s", strerror(-r)) : 0;
}

struct search {
	const char *text; /* a name, or an id as it is shown; NULL = all */
	uint64_t *ids;    /* found; of a name only the newest */
	size_t n, cap;
	char name[COW_BRANCH_MAX + 1]; /* of the last that was found */
	char *settings;                /* the same; owned */
};

static int match(const struct cow_deleted_info *d, void *arg)
{
	struct search *want = arg;
	char id[BRANCH_ID_SIZE];

	branch_id_text(d->b.id, id);
	if (want->text && strcmp(want->text, d->b.name) != 0 && strcmp(want->text, id) != 0)
		return 0;
	if (want->text)
		want->n = 0;
	if (want->n == want->cap) {
		size_t cap = want->cap ? 2 * want->cap : 16;
		uint64_t *more = realloc(want->ids, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		want->ids = more;
		want->cap = cap;
	}
	want->ids[want->n++] = d->b.id;
	snprintf(want->name, sizeof(want->name), "%s", d->b.name);
	free(want->settings);
	want->settings = strdup(d->b.settings);
	return 0;
}

static void search_release(struct search *s)
{
	free(s->ids);
	free(s->settings);
}

static cow_errno find(struct engine *g, struct search *want, struct cow_error *e)
{
	cow_errno r = cow_deleted_each(g->store, match, want);

	if (r < 0)
		return cow_fail(e, r, "cannot list deleted branches: %s", strerror(-r));
	if (want->n > 0 || !want->text)
		return 0;
	cow_fail(e, -ENOENT, "no deleted branch %s can be had back", want->text);
	return cow_hint(e, -ENOENT, "See them: cowfs branch list --deleted");
}

/* --- undelete --- */

static int has_port(const struct cow_branch_info *b, void *arg)
{
	json_t *settings = json_loads(b->settings ? b->settings : "{}", 0, NULL);
	bool same = json_integer_value(json_object_get(settings, "port")) == *(json_int_t *)arg;

	json_decref(settings);
	return same;
}

/* What must not come back with it: a time to die that is over (one that it was given as a span
 * begins anew), and a port that somebody took by name meanwhile. */
static char *fresh_settings(struct engine *g, const char *text)
{
	json_t *s = json_loads(text ? text : "{}", 0, NULL);
	const char *expires = json_string_value(json_object_get(s, "expires_at"));
	json_int_t ttl_ms = json_integer_value(json_object_get(s, "ttl_ms"));
	json_int_t port = json_integer_value(json_object_get(s, "port"));
	char when[PARSE_TIME_SIZE], *fresh;
	int64_t ns;

	if (ttl_ms > 0) {
		parse_time_format(now_ns() + ttl_ms * 1000000, when, sizeof(when));
		json_object_set_new(s, "expires_at", json_string(when));
	} else if (expires && parse_time(expires, &ns, NULL) == 0 && ns <= now_ns()) {
		json_object_del(s, "expires_at");
	}
	if (port && cow_branch_each(g->store, has_port, &port) == 1)
		json_object_del(s, "port");
	fresh = json_dumps(s, JSON_COMPACT);
	json_decref(s);
	return fresh;
}

/* {name: name or id, as?} */
static cow_errno undelete(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	const char *as = engine_text_or_null(args, "as");
	struct search want = {0};
	struct branch_limits limits;
	char *settings = NULL;
	cow_errno r = engine_text(args, "name", &want.text, e);

	if (r == 0)
		r = branch_limits_read(g, &limits, e);
	if (r == 0)
		r = branch_limits_check(g, &limits, e);
	if (r == 0)
		r = find(g, &want, e);
	if (r == 0) {
		settings = fresh_settings(g, want.settings);
		r = cow_branch_undelete(g->store, want.ids[0], as, settings, e);
	}
	if (r == 0)
		r = branch_json_get(g, as ? as : want.name, false, ret, e);
	if (r == -EEXIST)
		cow_hint(e, r, "Give it another name: cowfs branch undelete %s --as NAME",
			 want.text);
	free(settings);
	search_release(&want);
	return r;
}

/* {names?: [name or id, ...]; missing = all} */
static cow_errno purge(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	const json_t *names = json_object_get(args, "names");
	json_t *purged = json_array();
	size_t n = names ? json_array_size(names) : 1;
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && k < n; k++) {
		struct search want = {.text = json_string_value(json_array_get(names, k))};

		r = names && !want.text ? cow_fail(e, -EINVAL, "'names' must hold texts")
					: find(g, &want, e);
		for (size_t j = 0; r == 0 && j < want.n; j++) {
			r = cow_deleted_purge(g->store, want.ids[j], e);
			/* Its time may have come in this moment. */
			if (r == 0 || r == -ENOENT)
				json_array_append_new(
				    purged, json_pack("{s:o}", "id", branch_id_json(want.ids[j])));
			r = r == -ENOENT ? 0 : r;
		}
		search_release(&want);
	}
	*ret = json_pack("{s:o}", "purged", purged);
	old_logs_remove(g);
	return r;
}

const struct engine_verb engine_verbs_deleted[] = {
    {"branch.delete", delete, false},
    {"branch.deleted", list, false},
    {"branch.undelete", undelete, false},
    {"branch.purge", purge, false},
    {0},
};
