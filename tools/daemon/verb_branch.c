// SPDX-License-Identifier: Apache-2.0
/* The verbs on branches. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/pgfork.h"
#include "store/branch.h"
#include "tools/daemon/branch_edit.h"
#include "tools/daemon/branch_json.h"
#include "tools/daemon/branch_limits.h"
#include "tools/daemon/branch_port.h"
#include "tools/daemon/engine.h"
#include "tools/daemon/fork_policy.h"
#include "tools/daemon/json_text.h"
#include "tools/daemon/private.h"
#include "tools/daemon/verb_deleted.h"
#include "tools/daemon/verb_pool.h"
#include "tools/cli/parse.h"
#include "tools/pg/running.h"

static bool branch_exists(struct engine *g, const char *name)
{
	struct cow_branch_info b = {0};

	if (cow_branch_get(g->store, name, &b, NULL) < 0)
		return false;
	cow_branch_info_release(&b);
	return true;
}

static cow_errno answer_branch(struct engine *g, const char *name, json_t **ret,
			       struct cow_error *e)
{
	return branch_json_get(g, name, false, ret, e);
}

/* A new branch has no parent yet, so ^parent means that of the branch it would be made from. */
static cow_errno resolve_parent(struct engine *g, const char *reference, char *buf, size_t size,
				const char **ret, struct cow_error *e)
{
	static const char word[] = "^parent";
	char start[COW_BRANCH_MAX + 1] = "";
	struct cow_branch_info b = {0};
	cow_errno r;

	*ret = reference;
	if (!reference || strncmp(reference, word, strlen(word)) != 0)
		return 0;
	r = cow_branch_default(g->store, start, e);
	if (r == 0)
		r = cow_branch_get(g->store, start, &b, e);
	if (r < 0)
		return r;
	if (b.parent[0])
		snprintf(buf, size, "%s%s", b.parent, reference + strlen(word));
	else
		r = cow_hint(e, cow_fail(e, -ENOENT, "%s has no parent", start),
			     "^parent is the parent of the default branch, %s. Name the branch to "
			     "start from: --parent NAME",
			     start);
	cow_branch_info_release(&b);
	*ret = buf;
	return r;
}

#define OWN_MAX 4000 /* bytes, as text: it goes onto one command line (pgbranch.h) */

static cow_errno check_own(const json_t *settings, struct cow_error *e)
{
	char *text =
	    json_dumps(json_object_get(settings, "postgres"), JSON_COMPACT | JSON_ENCODE_ANY);
	size_t n = text ? strlen(text) : 0;

	free(text);
	return n <= OWN_MAX ? 0
			    : cow_fail(e, -EINVAL, "the settings of a server take %d bytes at most",
				       OWN_MAX);
}

/* {name, parent?, empty?, ephemeral?, if_not_exists?, settings?, fork?: [KEY=WORD...],
 * private?} */
static cow_errno create(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	json_t *settings = json_copy(json_object_get(args, "settings"));
	struct cow_pgfork_policy policy = {0};
	struct cow_branch_create how = {
	    .parent = engine_text_or_null(args, "parent"),
	    .empty = engine_flag(args, "empty"),
	    .ephemeral = engine_flag(args, "ephemeral"),
	    .quota = (uint64_t)json_integer_value(json_object_get(settings, "quota_bytes")),
	    .root_mode = 0700,
	    .root_uid = geteuid(),
	    .root_gid = getegid(),
	    .prepare = cow_pgfork_prepare,
	    .arg = &policy,
	};
	char parent[2 * COW_BRANCH_MAX + 64];
	struct branch_limits limits;
	bool made = true;
	char *text = NULL;
	cow_errno r = engine_text(args, "name", &how.name, e);

	if (r == 0)
		r = resolve_parent(g, engine_text_or_null(args, "parent"), parent, sizeof(parent),
				   &how.parent, e);
	if (r == 0)
		r = private_refuse(g, how.parent, args, "make a branch of", e);
	if (r == 0 && how.empty && how.parent)
		r = cow_fail(e, -EINVAL, "an empty branch has no parent");
	json_object_del(settings, "quota_bytes"); /* the store's own */
	branch_port_note(g, settings);
	if (r == 0)
		r = check_own(settings, e);
	if (r == 0)
		r = pool_check_name(how.name, e);
	if (r == 0)
		r = fork_policy_into(cow_store_path(g->store), settings,
				     json_object_get(args, "fork"), &text, &policy, e);
	json_decref(settings);
	how.settings = text;
	if (r < 0) {
		free(text);
		return r;
	}
	if (engine_flag(args, "if_not_exists") && branch_exists(g, how.name)) {
		made = false;
	} else {
		r = branch_limits_read(g, &limits, e);
		if (r == 0)
			r = branch_limits_check(g, &limits, e);
		if (r == 0 && !how.empty)
			r = engine_before_point(g, how.parent, e);
		if (r == 0)
			r = cow_branch_create(g->store, &how, e);
		/* Somebody else may have made it in the meantime: that is what was asked for. */
		if (r == -EEXIST && engine_flag(args, "if_not_exists") &&
		    branch_exists(g, how.name)) {
			made = false;
			r = 0;
		}
	}
	free(text);
	if (r == 0)
		r = answer_branch(g, how.name, ret, e);
	if (r == 0)
		json_object_set_new(*ret, "created", json_boolean(made));
	return r;
}

/* Measuring looks at every block map of a branch. A list of many branches must not take minutes, so
 * it measures for this long and leaves the rest unknown (null), unless all of it was asked for. */
#define MEASURE_MS 1000

struct listing {
	struct engine *g;
	json_t *branches;
	bool space, all, pools;
	int64_t started_ms;
	uint64_t unmeasured;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int add_branch(const struct cow_branch_info *b, void *arg)
{
	struct listing *l = arg;
	bool member = pool_is_member(b->name);
	bool measure = l->space && (l->all || now_ms() - l->started_ms < MEASURE_MS);
	json_t *o;

	if (member && !l->pools)
		return 0;
	o = branch_json(l->g, b, measure);
	if (member)
		pool_describe(l->g, o);
	if (l->space && !measure) {
		json_object_set_new(o, "unique_bytes", json_null());
		json_object_set_new(o, "logical_size", json_null());
		l->unmeasured++;
	}
	return json_array_append_new(l->branches, o) < 0 ? -ENOMEM : 0;
}

/* {space?: bool, all?: measure all, pools?: members of pools too} -> {branches, unmeasured: how
 * many were left out} */
static cow_errno list(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	struct listing l = {
	    .g = g,
	    .branches = json_array(),
	    .space = engine_flag(args, "space"),
	    .all = engine_flag(args, "all"),
	    .pools = engine_flag(args, "pools"),
	    .started_ms = now_ms(),
	};
	cow_errno r = cow_branch_each(g->store, add_branch, &l);

	*ret =
	    json_pack("{s:o,s:o}", "branches", l.branches, "unmeasured", json_count(l.unmeasured));
	return r < 0 ? cow_fail(e, r, "cannot list the branches: %s", strerror(-r)) : 0;
}

/* {name} -> the branch with `fork`, its policy. A faulty configuration is no reason to show
 * nothing. */
static cow_errno get(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	struct cow_branch_info b = {0};
	json_t *policy = NULL;
	const char *name;
	cow_errno r = engine_text(args, "name", &name, e);

	if (r == 0)
		r = cow_branch_get(g->store, name, &b, e);
	if (r < 0)
		return r;
	fork_policy_of(cow_store_path(g->store), b.settings, NULL, &policy, NULL);
	*ret = branch_json(g, &b, true);
	json_object_set_new(*ret, "fork", policy ? policy : json_null());
	cow_branch_info_release(&b);
	return 0;
}

/* {name} -> {files, writers}: open through the mount */
static cow_errno open_files(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	const char *name;
	cow_errno r = engine_text(args, "name", &name, e);

	if (r < 0)
		return r;
	*ret = json_pack("{s:o,s:o}", "files", json_count(cow_branch_open_files(g->store, name)),
			 "writers", json_count(cow_branch_open_writers(g->store, name)));
	return 0;
}

/* {from, to} */
static cow_errno rename_branch(struct engine *g, const json_t *args, json_t **ret,
			       struct cow_error *e)
{
	const char *from, *to;
	cow_errno r = engine_text(args, "from", &from, e);

	if (r == 0)
		r = engine_text(args, "to", &to, e);
	if (r == 0)
		r = pool_check_name(to, e);
	if (r == 0)
		r = private_refuse(g, from, args, "rename", e);
	if (r == 0)
		r = running_refuse(g, from, "rename", e);
	if (r == 0)
		r = running_explain(g, from, cow_branch_rename(g->store, from, to, e), e);
	return r < 0 ? r : answer_branch(g, to, ret, e);
}

/* A time to live begins anew with new contents. */
static cow_errno restart_ttl(void *arg, json_t *settings, struct cow_error *e)
{
	json_int_t ttl_ms = json_integer_value(json_object_get(settings, "ttl_ms"));
	char when[PARSE_TIME_SIZE];
	struct timespec t;

	if (ttl_ms > 0) {
		clock_gettime(CLOCK_REALTIME, &t);
		parse_time_format((int64_t)t.tv_sec * 1000000000 + t.tv_nsec + ttl_ms * 1000000,
				  when, sizeof(when));
		json_object_set_new(settings, "expires_at", json_string(when));
	}
	return 0;
}

struct new_contents {
	const char *name;      /* of the branch */
	bool force;            /* whether it is protected or not */
	const char *by, *from; /* word of the history; where they come from, NULL = nothing */
};

/* What the history says of the last change of contents (verb "log"). Protection is looked at in the
 * step that makes the change: who protects a branch at this moment is either too late or heard. */
static cow_errno note_contents(void *arg, json_t *settings, struct cow_error *e)
{
	const struct new_contents *c = arg;
	cow_errno r =
	    verb_refuse_protected(c->name, settings, c->force, "throw away the contents of", e);

	if (r < 0)
		return r;
	json_object_set_new(settings, "contents",
			    json_pack("{s:s,s:s*}", "by", c->by, "from", c->from));
	return restart_ttl(NULL, settings, e);
}

/* {name, source?, preserve_under?, force?, private?}: reset without source, restore with one */
static cow_errno reset(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	const char *source = engine_text_or_null(args, "source");
	const char *keep = engine_text_or_null(args, "preserve_under");
	struct cow_pgfork_policy policy;
	struct cow_branch_info b = {0};
	struct new_contents what;
	struct branch_edit edit = {g, note_contents, &what};
	struct cow_branch_reset how = {.source = source,
				       .preserve_under = keep,
				       .edit = branch_edit_text,
				       .edit_arg = &edit,
				       .prepare = cow_pgfork_prepare,
				       .arg = &policy};
	const char *name;
	cow_errno r = engine_text(args, "name", &name, e);

	if (r == 0)
		r = private_refuse(g, name, args, "change the contents of", e);
	if (r == 0)
		r = private_refuse(g, source, args, "show the contents of", e);
	if (r == 0)
		r = running_refuse(g, name, "change the contents of", e);
	if (r == 0)
		r = cow_branch_get(g->store, name, &b, e);
	if (r < 0)
		return r;
	r = fork_policy_of(cow_store_path(g->store), b.settings, &policy, NULL, e);
	if (r == 0 && (source || b.parent[0]))
		r = engine_before_point(g, source ? source : b.parent, e);
	what = (struct new_contents){.name = name,
				     /* With the old contents kept nothing is lost. */
				     .force = keep || engine_flag(args, "force"),
				     .by = source ? "restore" : "reset",
				     .from = source        ? source
					     : b.parent[0] ? b.parent
							   : NULL};
	how.name = name;
	if (r == 0)
		r = running_explain(g, name, cow_branch_reset(g->store, &how, e), e);
	cow_branch_info_release(&b);
	return r < 0 ? r : answer_branch(g, name, ret, e);
}

static cow_errno note_exchange(void *arg, json_t *settings, struct cow_error *e)
{
	json_object_set_new(settings, "contents",
			    json_pack("{s:s,s:s}", "by", "promote", "from", arg));
	return 0;
}

static cow_errno note_exchanged(void *arg, const char *other, const char *was, char **ret,
				struct cow_error *e)
{
	struct branch_edit words = {.g = arg, .change = note_exchange, .arg = (void *)other};

	return branch_edit_text(&words, was, ret, e);
}

/* {name} */
static cow_errno promote(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	char main_name[COW_BRANCH_MAX + 1] = "";
	struct cow_branch_info b = {0};
	const char *name;
	cow_errno r = engine_text(args, "name", &name, e);

	if (r < 0)
		return r;
	r = cow_branch_get(g->store, name, &b, e);
	if (r < 0)
		return r;
	cow_branch_info_release(&b);
	r = private_refuse(g, name, args, "promote", e);
	if (r < 0)
		return r;
	cow_branch_default(g->store, main_name, NULL);
	r = running_refuse(g, name, "promote", e);
	if (r == 0 && main_name[0])
		r = running_refuse(g, main_name, "exchange the contents of", e);
	if (r == 0)
		r = running_explain(g, name,
				    cow_branch_promote(g->store, name, note_exchanged, g, e), e);
	return r < 0 ? r : answer_branch(g, name, ret, e);
}

/* {name} */
static cow_errno set_default(struct engine *g, const json_t *args, json_t **ret,
			     struct cow_error *e)
{
	const char *name;
	cow_errno r = engine_text(args, "name", &name, e);

	if (r == 0)
		r = private_refuse(g, name, args, "make the default of", e);
	if (r == 0)
		r = cow_branch_set_default(g->store, name, e);
	return r < 0 ? r : answer_branch(g, name, ret, e);
}

struct change {
	json_t *set;        /* borrowed; merged into the settings, null removes a key */
	const json_t *fork; /* borrowed; words of the policy, array; may be NULL */
	json_t *configured; /* policy of a branch that has none of its own yet */
};

static cow_errno apply(void *arg, json_t *settings, struct cow_error *e)
{
	const struct change *c = arg;
	json_t *policy;
	cow_errno r;

	json_merge(settings, c->set);
	json_object_del(settings, "quota_bytes"); /* the store's own */
	r = check_own(settings, e);
	if (r < 0 || json_array_size(c->fork) == 0)
		return r;
	policy = json_object_get(settings, "fork");
	if (!json_is_object(policy)) {
		json_object_set(settings, "fork", c->configured);
		policy = c->configured;
	}
	return fork_policy_set_all(policy, c->fork, e);
}

/* {name, set: {...}, fork?: [KEY=WORD...]}: merge into the settings; null removes a key */
static cow_errno settings(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	struct change c = {.set = json_object_get(args, "set"),
			   .fork = json_object_get(args, "fork")};
	const char *name;
	json_t *v;
	cow_errno r = engine_text(args, "name", &name, e);

	if (r == 0 && !json_is_object(c.set))
		r = cow_fail(e, -EINVAL, "'set' must be an object");
	if (r == 0 && json_array_size(c.fork))
		r = fork_policy_configured(cow_store_path(g->store), &c.configured, e);
	if (r == 0 && (v = json_object_get(c.set, "quota_bytes")))
		r = cow_branch_set_quota(g->store, name, (uint64_t)json_integer_value(v), e);
	if (r == 0)
		r = branch_edit(g, name, apply, &c, e);
	json_decref(c.configured);
	return r < 0 ? r : answer_branch(g, name, ret, e);
}

const struct engine_verb engine_verbs_branch[] = {
    {"branch.create", create, false},
    {"branch.list", list, false},
    {"branch.get", get, false},
    {"branch.open", open_files, false},
    {"branch.rename", rename_branch, false},
    {"branch.reset", reset, false},
    {"branch.promote", promote, false},
    {"branch.set_default", set_default, false},
    {"branch.settings", settings, false},
    {0},
};
