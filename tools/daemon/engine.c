// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/mount.h"
#include "fs/pgfork.h"
#include "store/branch.h"
#include "store/live.h"
#include "store/log.h"

/* Called when there is a mount: in the whole executable (cli/whole.h), which has them. */
#pragma weak cow_mount_push_pages
#pragma weak cow_mount_stat

/* A snapshot never waits longer than this for the kernel's dirty pages (DESIGN 4.5, step 1). */
#define PUSH_PAGES_MS 2000

static const struct engine_verb *const tables[] = {
    engine_verbs_branch, engine_verbs_deleted, engine_verbs_pool,   engine_verbs_snapshot,
    engine_verbs_space,  engine_verbs_verify,  engine_verbs_status, engine_verbs_import,
};

const struct engine_verb *engine_find(const char *name)
{
	for (size_t k = 0; k < sizeof(tables) / sizeof(tables[0]); k++)
		for (const struct engine_verb *v = tables[k]; v->name; v++)
			if (strcmp(v->name, name) == 0)
				return v;
	return NULL;
}

cow_errno engine_call(struct engine *g, const char *verb, const json_t *args, json_t **ret,
		      struct cow_error *e)
{
	const struct engine_verb *v = engine_find(verb);

	if (!v)
		return cow_fail(e, -EINVAL, "unknown verb '%s'", verb);
	if (!json_is_object(args))
		return cow_fail(e, -EINVAL, "the arguments of '%s' are not an object", verb);
	if (v->control && !g->daemon)
		return cow_fail(e, -ENOTCONN, "no daemon runs on this store");
	return v->run(g, args, ret, e);
}

void engine_progress(const struct engine *g, uint64_t done, uint64_t total)
{
	if (g->progress)
		g->progress(g->progress_arg, done, total);
}

/* --- the mount --- */

struct cow_mount *engine_mount_hold(struct engine *g)
{
	if (!g->mounted)
		return NULL;
	pthread_rwlock_rdlock(&g->mounted->lock);
	if (g->mounted->mount)
		return g->mounted->mount;
	pthread_rwlock_unlock(&g->mounted->lock);
	return NULL;
}

void engine_mount_release(struct engine *g)
{
	pthread_rwlock_unlock(&g->mounted->lock);
}

bool engine_mountpoint(struct engine *g, char *buf, size_t size)
{
	struct cow_mount *m = engine_mount_hold(g);
	struct cow_mount_stat st;

	if (!m)
		return false;
	cow_mount_stat(m, &st);
	engine_mount_release(g);
	snprintf(buf, size, "%s", st.mountpoint);
	return true;
}

static void push_branch(struct engine *g, const char *branch)
{
	struct cow_mount *m;
	cow_errno r;

	/* Pages that wait for room cannot be pushed, and the point will be refused. */
	if (cow_store_writes_wait(g->store) || cow_branch_open_writers(g->store, branch) == 0)
		return;
	m = engine_mount_hold(g);
	if (!m)
		return;
	r = cow_mount_push_pages(m, PUSH_PAGES_MS);
	engine_mount_release(g);
	if (r < 0)
		cow_log_warn("a point of %s is taken without the pages the kernel holds back: %s",
			     branch, strerror(-r));
}

/* The branch whose present state `reference` means; false = a past point, or only the store knows.
 */
static bool head_of(struct engine *g, const char *reference, char *ret)
{
	ret[0] = '\0';
	if (!reference)
		cow_branch_default(g->store, ret, NULL);
	else if (!strchr(reference, '@') && reference[0] != '^')
		snprintf(ret, COW_BRANCH_MAX + 1, "%s", reference);
	return ret[0] != '\0';
}

void engine_push_pages(struct engine *g, const char *reference)
{
	char branch[COW_BRANCH_MAX + 1];

	if (g->mounted && head_of(g, reference, branch))
		push_branch(g, branch);
}

cow_errno engine_before_point(struct engine *g, const char *reference, struct cow_error *e)
{
	char branch[COW_BRANCH_MAX + 1];
	struct cow_live *l = NULL;
	cow_errno r;

	if (!head_of(g, reference, branch))
		return 0;
	/* What does not exist or cannot be opened is for the operation itself to report. */
	if (cow_live_get(g->store, branch, &l, NULL) < 0)
		return 0;
	r = cow_pgfork_snapshot_safe(l, e);
	cow_live_put(l);
	if (r == 0 && g->mounted)
		push_branch(g, branch);
	return r == -EPERM ? r : 0;
}

/* --- arguments --- */

cow_errno engine_text(const json_t *args, const char *key, const char **ret, struct cow_error *e)
{
	const char *text = json_string_value(json_object_get(args, key));

	if (!text || !*text)
		return cow_fail(e, -EINVAL, "'%s' must be a text that is not empty", key);
	*ret = text;
	return 0;
}

const char *engine_text_or_null(const json_t *args, const char *key)
{
	return json_string_value(json_object_get(args, key));
}

bool engine_flag(const json_t *args, const char *key)
{
	return json_is_true(json_object_get(args, key));
}
