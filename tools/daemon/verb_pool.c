// SPDX-License-Identifier: Apache-2.0
/* The verbs on pools: branches that are made ahead.
 *
 * What pools there are stands in the map (a note of the store, an object by name). A member is an
 * ordinary branch named ".pool/POOL/NUMBER"; handing it over gives it its name, and its server, if
 * one runs, goes on. Members are made one at a time (pool.grow), started and marked ready by cowfs
 * serve, which also removes those that are too many or too old. A member is old when its parent has
 * other contents now, or was written to since and the member is older than `refresh_ms`, or when
 * the configuration wants another policy of forks than the one it was started with; an old one is
 * never handed out. What the pool was made with (settings of the server, policy) is in its members,
 * and in a branch that is made because the pool is empty. */
#include "tools/daemon/verb_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/pgfork.h"
#include "store/branch.h"
#include "store/cleanup.h"
#include "tools/daemon/branch_edit.h"
#include "tools/daemon/branch_json.h"
#include "tools/daemon/branch_limits.h"
#include "tools/daemon/fork_policy.h"
#include "tools/daemon/json_text.h"
#include "tools/daemon/private.h"
#include "tools/daemon/shared.h"

#define SIZE_MAX_POOL 1000
#define NOTE "pools"

bool pool_is_member(const char *branch)
{
	return strncmp(branch, POOL_PREFIX, strlen(POOL_PREFIX)) == 0;
}

cow_errno pool_check_name(const char *branch, struct cow_error *e)
{
	if (!pool_is_member(branch))
		return 0;
	return cow_fail(e, -EINVAL, "names that begin with %s belong to pools", POOL_PREFIX);
}

/* "ci" of ".pool/ci/7"; false = it is not shaped like a member. */
static bool pool_of(const char *branch, char ret[COW_BRANCH_MAX + 1])
{
	const char *name = branch + strlen(POOL_PREFIX), *slash;

	if (!pool_is_member(branch) || !(slash = strchr(name, '/')))
		return false;
	snprintf(ret, COW_BRANCH_MAX + 1, "%.*s", (int)(slash - name), name);
	return true;
}

/* --- the note --- */

static cow_errno load(struct engine *g, json_t **ret, struct cow_error *e)
{
	CLEANUP_FREE char *text = NULL;
	cow_errno r = cow_store_note_get(g->store, NOTE, &text);

	*ret = r == 0 ? json_loads(text ? text : "{}", 0, NULL) : NULL;
	if (r < 0 || !json_is_object(*ret)) {
		json_decref(*ret);
		return cow_fail(e, r < 0 ? r : -EIO, "the list of pools cannot be read");
	}
	return 0;
}

static cow_errno save(struct engine *g, const json_t *pools, struct cow_error *e)
{
	CLEANUP_FREE char *text = json_dumps(pools, JSON_COMPACT);
	cow_errno r = text ? cow_store_note_put(g->store, NOTE, text) : -ENOMEM;

	return r < 0 ? cow_fail(e, r, "cannot keep the pool: %s", strerror(-r)) : 0;
}

/* *ret is borrowed from *pools, which is the caller's on 0. */
static cow_errno find(struct engine *g, const char *name, json_t **pools, json_t **ret,
		      struct cow_error *e)
{
	cow_errno r = load(g, pools, e);

	if (r < 0)
		return r;
	*ret = json_object_get(*pools, name);
	if (*ret)
		return 0;
	json_decref(*pools);
	cow_fail(e, -ENOENT, "there is no pool %s", name);
	return cow_hint(e, -ENOENT, "See them: cowfs pool list");
}

/* --- members --- */

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool is_ready(const struct cow_branch_info *b)
{
	json_t *s = json_loads(b->settings ? b->settings : "{}", 0, NULL);
	bool ready = json_is_true(json_object_get(s, "pool_ready"));

	json_decref(s);
	return ready;
}

/* The policy that members have which are made now; NULL: the configuration is faulty. */
static json_t *policy_of(struct engine *g, const json_t *pool)
{
	json_t *policy = NULL;

	if (fork_policy_configured(cow_store_path(g->store), &policy, NULL) == 0)
		fork_policy_set_all(policy, json_object_get(pool, "fork"), NULL);
	return policy;
}

static bool has_other_policy(const struct cow_branch_info *b, const json_t *policy)
{
	json_t *s = json_loads(b->settings ? b->settings : "{}", 0, NULL);
	bool other = policy && !json_equal(json_object_get(s, "fork"), policy);

	json_decref(s);
	return other;
}

/* `pool` NULL: of a pool that is gone. `policy` as above. */
static bool is_old(struct engine *g, const json_t *pool, const json_t *policy,
		   const struct cow_branch_info *b)
{
	const char *source = json_string_value(json_object_get(pool, "source"));
	json_int_t refresh_ms = json_integer_value(json_object_get(pool, "refresh_ms"));
	enum cow_branch_moved moved;

	if (!source || has_other_policy(b, policy))
		return true;
	if (strchr(source, '@')) /* what has a name of its own does not move */
		return false;
	if (cow_branch_moved(g->store, b->name, &moved, NULL) < 0 || moved == COW_MOVED_REPLACED)
		return true;
	return moved == COW_MOVED_WRITTEN && refresh_ms > 0 &&
	       now_ns() - b->created_ns > refresh_ms * 1000000;
}

struct members {
	struct engine *g;
	const char *name;
	const json_t *pool;
	json_t *policy;
	unsigned all, ready, old;
	char best[COW_BRANCH_MAX + 1]; /* the ready one that is oldest */
	int64_t best_ns;
	uint64_t last; /* highest number */
};

static int count_member(const struct cow_branch_info *b, void *arg)
{
	struct members *m = arg;
	char pool[COW_BRANCH_MAX + 1];
	uint64_t number;

	if (!pool_of(b->name, pool) || strcmp(pool, m->name) != 0)
		return 0;
	number = strtoull(strrchr(b->name, '/') + 1, NULL, 10);
	m->last = COW_MAX(m->last, number);
	if (is_old(m->g, m->pool, m->policy, b)) {
		m->old++;
		return 0;
	}
	m->all++;
	if (!is_ready(b))
		return 0;
	m->ready++;
	if (m->best[0] && m->best_ns <= b->created_ns)
		return 0;
	snprintf(m->best, sizeof(m->best), "%s", b->name);
	m->best_ns = b->created_ns;
	return 0;
}

static struct members members_of(struct engine *g, const char *name, const json_t *pool)
{
	struct members m = {.g = g, .name = name, .pool = pool, .policy = policy_of(g, pool)};

	cow_branch_each(g->store, count_member, &m);
	json_decref(m.policy);
	return m;
}

void pool_describe(struct engine *g, json_t *branch)
{
	const char *name = json_string_value(json_object_get(branch, "name"));
	const json_t *settings = json_object_get(branch, "settings");
	struct cow_branch_info b = {0};
	char pool[COW_BRANCH_MAX + 1];
	json_t *pools = NULL, *policy, *own;

	if (!pool_of(name, pool) || load(g, &pools, NULL) < 0)
		return;
	own = json_object_get(pools, pool);
	policy = policy_of(g, own);
	json_object_set_new(branch, "pool", json_text(pool));
	json_object_set_new(branch, "pool_ready",
			    json_boolean(json_is_true(json_object_get(settings, "pool_ready"))));
	if (cow_branch_get(g->store, name, &b, NULL) == 0)
		json_object_set_new(branch, "pool_stale", json_boolean(is_old(g, own, policy, &b)));
	cow_branch_info_release(&b);
	json_decref(policy);
	json_decref(pools);
}

/* --- create, list, get, set, delete --- */

static json_t *pool_json(struct engine *g, const char *name, const json_t *pool)
{
	struct members m = members_of(g, name, pool);
	json_t *o = json_pack("{s:o}", "name", json_text(name));

	json_object_update(o, (json_t *)pool);
	json_object_set_new(o, "members", json_integer(m.all));
	json_object_set_new(o, "ready", json_integer(m.ready));
	json_object_set_new(o, "stale", json_integer(m.old));
	json_object_del(o, "next");
	return o;
}

static int match_snapshot(const struct cow_snapshot_info *p, void *arg)
{
	return strcmp(p->name, arg) == 0;
}

/* BRANCH or BRANCH@SNAPSHOT that exists. */
static cow_errno check_source(struct engine *g, const char *source, struct cow_error *e)
{
	const char *at = strchr(source, '@');
	char branch[COW_BRANCH_MAX + 1];
	struct cow_branch_info b = {0};
	cow_errno r;

	snprintf(branch, sizeof(branch), "%.*s", (int)(at ? at - source : COW_BRANCH_MAX), source);
	r = cow_branch_get(g->store, branch, &b, e);
	cow_branch_info_release(&b);
	if (r == 0 && at &&
	    cow_snapshot_each(g->store, branch, match_snapshot, (void *)(at + 1)) != 1)
		r = cow_fail(e, -ENOENT, "branch %s has no snapshot %s", branch, at + 1);
	return r;
}

static cow_errno check_pool_name(const char *name, struct cow_error *e)
{
	cow_errno r = cow_branch_name_check(name, e);

	if (r == 0 && (strchr(name, '/') || strlen(name) > 200))
		r = cow_fail(e, -EINVAL, "the name of a pool is one short word without '/'");
	return r;
}

/* KEY=WORD as --fork has it. */
static cow_errno check_fork(struct engine *g, const json_t *texts, struct cow_error *e)
{
	json_t *policy = NULL;
	cow_errno r = fork_policy_configured(cow_store_path(g->store), &policy, e);

	if (r == 0)
		r = fork_policy_set_all(policy, texts, e);
	json_decref(policy);
	return r;
}

/* {name, source, size, warm: "running" | "stopped", refresh_ms (0 = never), settings?, fork?:
 * [KEY=WORD...]} */
static cow_errno create(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	const char *name, *source = NULL, *warm = engine_text_or_null(args, "warm");
	json_int_t size = json_integer_value(json_object_get(args, "size"));
	json_t *pools = NULL, *pool = NULL;
	cow_errno r = engine_text(args, "name", &name, e);
	WITH_LOCK(&g->shared->pool_changing);

	if (r == 0)
		r = engine_text(args, "source", &source, e);
	if (r == 0)
		r = check_pool_name(name, e);
	if (r == 0 && (size < 0 || size > SIZE_MAX_POOL))
		r = cow_fail(e, -EINVAL, "a pool has 0 to %d members", SIZE_MAX_POOL);
	if (r == 0)
		r = check_source(g, source, e);
	if (r == 0)
		r = check_fork(g, json_object_get(args, "fork"), e);
	if (r == 0)
		r = load(g, &pools, e);
	if (r < 0)
		return r;
	if (json_object_get(pools, name)) {
		json_decref(pools);
		return cow_fail(e, -EEXIST, "pool %s exists already", name);
	}
	pool = json_pack("{s:o,s:I,s:s,s:I,s:o,s:O*,s:O*}", "source", json_text(source), "size",
			 size, "warm", warm ? warm : "running", "refresh_ms",
			 json_integer_value(json_object_get(args, "refresh_ms")), "created_at",
			 json_time(now_ns()), "settings", json_object_get(args, "settings"), "fork",
			 json_object_get(args, "fork"));
	json_object_set(pools, name, pool);
	r = save(g, pools, e);
	if (r == 0)
		*ret = pool_json(g, name, pool);
	json_decref(pool);
	json_decref(pools);
	return r;
}

/* {} */
static cow_errno list(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	json_t *pools, *pool, *rows = json_array();
	const char *name;
	cow_errno r = load(g, &pools, e);

	if (r < 0) {
		json_decref(rows);
		return r;
	}
	json_object_foreach (pools, name, pool)
		json_array_append_new(rows, pool_json(g, name, pool));
	json_decref(pools);
	*ret = json_pack("{s:o}", "pools", rows);
	return 0;
}

/* {name} */
static cow_errno get(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	json_t *pools = NULL, *pool = NULL;
	const char *name;
	cow_errno r = engine_text(args, "name", &name, e);

	if (r == 0)
		r = find(g, name, &pools, &pool, e);
	if (r < 0)
		return r;
	*ret = pool_json(g, name, pool);
	json_decref(pools);
	return 0;
}

/* {name, size?, refresh_ms?} */
static cow_errno set(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	json_t *pools = NULL, *pool = NULL, *size = json_object_get(args, "size");
	json_t *refresh = json_object_get(args, "refresh_ms");
	const char *name;
	cow_errno r = engine_text(args, "name", &name, e);
	WITH_LOCK(&g->shared->pool_changing);

	if (r == 0 && size &&
	    (json_integer_value(size) < 0 || json_integer_value(size) > SIZE_MAX_POOL))
		r = cow_fail(e, -EINVAL, "a pool has 0 to %d members", SIZE_MAX_POOL);
	if (r == 0)
		r = find(g, name, &pools, &pool, e);
	if (r < 0)
		return r;
	if (size)
		json_object_set(pool, "size", size);
	if (refresh)
		json_object_set(pool, "refresh_ms", refresh);
	r = save(g, pools, e);
	if (r == 0)
		*ret = pool_json(g, name, pool);
	json_decref(pools);
	return r;
}

struct naming {
	const char *pool;
	json_t *names;
};

static int add_member(const struct cow_branch_info *b, void *arg)
{
	struct naming *n = arg;
	char pool[COW_BRANCH_MAX + 1];

	if (pool_of(b->name, pool) && strcmp(pool, n->pool) == 0)
		json_array_append_new(n->names, json_text(b->name));
	return 0;
}

/* {name} -> {name, members: [...]}: the members are without a pool then, and for the caller to
 * delete */
static cow_errno delete (struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	struct naming n = {.names = NULL};
	json_t *pools = NULL, *pool = NULL;
	cow_errno r = engine_text(args, "name", &n.pool, e);
	WITH_LOCK(&g->shared->pool_changing);

	if (r == 0)
		r = find(g, n.pool, &pools, &pool, e);
	if (r < 0)
		return r;
	json_object_del(pools, n.pool);
	r = save(g, pools, e);
	json_decref(pools);
	if (r < 0)
		return r;
	n.names = json_array();
	cow_branch_each(g->store, add_member, &n);
	*ret = json_pack("{s:o,s:o}", "name", json_text(n.pool), "members", n.names);
	return 0;
}

/* --- growing, handing over --- */

/* `wanted`: settings beside those of the pool, or NULL. */
static cow_errno make_branch(struct engine *g, const char *name, const json_t *pool,
			     const json_t *wanted, json_t **ret, struct cow_error *e)
{
	const char *source = json_string_value(json_object_get(pool, "source"));
	json_t *settings = json_deep_copy(json_object_get(pool, "settings"));
	struct cow_pgfork_policy policy = {0};
	struct cow_branch_create how = {
	    .name = name,
	    .parent = source,
	    .prepare = cow_pgfork_prepare,
	    .arg = &policy,
	};
	CLEANUP_FREE char *text = NULL;
	struct branch_limits limits;
	cow_errno r = branch_limits_read(g, &limits, e);

	if (!settings)
		settings = json_object();
	json_merge(settings, wanted);
	json_object_del(settings, "quota_bytes"); /* the store's own: take */
	if (r == 0)
		r = fork_policy_into(cow_store_path(g->store), settings,
				     json_object_get(pool, "fork"), &text, &policy, e);
	json_decref(settings);
	how.settings = text;
	if (r == 0)
		r = branch_limits_check(g, &limits, e);
	if (r == 0)
		r = engine_before_point(g, source, e);
	if (r == 0)
		r = private_refuse(g, source, NULL, "make a pool of", e);
	if (r == 0)
		r = cow_branch_create(g->store, &how, e);
	return r < 0 ? r : branch_json_get(g, name, false, ret, e);
}

/* {name} -> the new member, or {} when there are enough */
static cow_errno grow(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	char member[COW_BRANCH_MAX + 1];
	json_t *pools = NULL, *pool = NULL, *awake;
	struct members m;
	const char *name;
	cow_errno r = engine_text(args, "name", &name, e);
	WITH_LOCK(&g->shared->pool_growing);

	if (r == 0)
		r = find(g, name, &pools, &pool, e);
	if (r < 0)
		return r;
	m = members_of(g, name, pool);
	snprintf(member, sizeof(member), POOL_PREFIX "%.200s/%llu", name,
		 (unsigned long long)m.last + 1);
	awake = json_pack("{s:i}", "suspend_timeout_ms", 0);
	if (m.all < json_integer_value(json_object_get(pool, "size")))
		r = make_branch(g, member, pool, awake, ret, e);
	else
		*ret = json_object();
	json_decref(awake);
	json_decref(pools);
	return r;
}

/* Those of the member, its port above all, where it is reached already, changed by what was said
 * for the new branch. */
static cow_errno leave_pool(void *arg, json_t *settings, struct cow_error *e)
{
	json_object_del(settings, "pool_ready");
	json_object_del(settings, "suspend_timeout_ms");
	json_merge(settings, arg);
	json_object_del(settings, "quota_bytes"); /* the store's own: take */
	return 0;
}

#define TRIES 3 /* serve may be removing the one that was chosen */

/* `was`: the name it had in the pool; "" = the pool is empty. */
static cow_errno hand_over(struct engine *g, const char *pool_name, const json_t *pool,
			   const char *name, json_t *wanted, char was[COW_BRANCH_MAX + 1],
			   struct cow_error *e)
{
	struct branch_edit how = {.g = g, .change = leave_pool, .arg = wanted};
	cow_errno r = -ENOENT;
	WITH_LOCK(&g->shared->pool_changing);

	for (int k = 0; r == -ENOENT && k < TRIES; k++) {
		struct members m = members_of(g, pool_name, pool);

		snprintf(was, COW_BRANCH_MAX + 1, "%s", m.best);
		if (!was[0])
			return 0;
		r = cow_branch_rename_running(g->store, was, name, branch_edit_text, &how, e);
	}
	return r;
}

/* {pool, name, settings?} -> the branch, with was: the name it had in the pool (null: the pool was
 * empty, and it was made now) */
static cow_errno take(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	const char *name, *pool_name = NULL;
	char was[COW_BRANCH_MAX + 1] = "";
	json_t *pools = NULL, *pool = NULL;
	json_t *settings;
	uint64_t quota;
	cow_errno r = engine_text(args, "name", &name, e);

	if (r == 0)
		r = engine_text(args, "pool", &pool_name, e);
	if (r == 0)
		r = pool_check_name(name, e);
	if (r == 0)
		r = find(g, pool_name, &pools, &pool, e);
	if (r < 0)
		return r;
	settings = json_object_get(args, "settings");
	r = hand_over(g, pool_name, pool, name, settings, was, e);
	if (r == 0)
		r = was[0] ? branch_json_get(g, name, false, ret, e)
			   : make_branch(g, name, pool, settings, ret, e);
	json_decref(pools);
	quota = (uint64_t)json_integer_value(json_object_get(settings, "quota_bytes"));
	if (r == 0 && quota && (r = cow_branch_set_quota(g->store, name, quota, e)) == 0) {
		json_decref(*ret);
		*ret = NULL;
		r = branch_json_get(g, name, false, ret, e);
	}
	if (r == 0)
		json_object_set_new(*ret, "was", was[0] ? json_text(was) : json_null());
	return r;
}

const struct engine_verb engine_verbs_pool[] = {
    {"pool.create", create, false}, {"pool.list", list, false},
    {"pool.get", get, false},       {"pool.set", set, false},
    {"pool.delete", delete, false}, {"pool.grow", grow, false},
    {"pool.take", take, false},     {0},
};
