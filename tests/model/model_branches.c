// SPDX-License-Identifier: Apache-2.0
/* model_branches: one random operation on branches, snapshots or the store. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/upkeep.h"
#include "tests/model/model_world.h"

enum { REF_MAX = 2 * COW_BRANCH_MAX };

static int branch_of_name(struct world *w, const char *name)
{
	for (int k = 0; k < BRANCHES; k++)
		if (w->b[k].name[0] && strcmp(w->b[k].name, name) == 0)
			return k;
	return -1;
}

static int pick_snapshot(struct world *w)
{
	int start = (int)world_random(w, SNAPSHOTS);

	for (int k = 0; k < SNAPSHOTS; k++)
		if (w->s[(start + k) % SNAPSHOTS].name[0])
			return (start + k) % SNAPSHOTS;
	return -1;
}

/* A reference, and what it stands for: a branch as it is now, or a snapshot. */
static const struct model *pick_point(struct world *w, char ref[REF_MAX])
{
	int k = world_random(w, 2) ? pick_snapshot(w) : -1;

	if (k >= 0) {
		snprintf(ref, REF_MAX, "%s@%s", w->s[k].branch, w->s[k].name);
		return w->s[k].m;
	}
	k = world_pick_branch(w);
	snprintf(ref, REF_MAX, "%s", w->b[k].name);
	return w->b[k].m;
}

static void add_branch(struct world *w, int slot, const char *name, struct model *m)
{
	snprintf(w->b[slot].name, sizeof(w->b[slot].name), "%s", name);
	w->b[slot].m = m;
	w->b[slot].live = NULL;
}

static void step_create(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_branch_create how = {0};
	int slot = world_free_branch(w), r;
	const struct model *from;
	char ref[REF_MAX], name[32];

	if (slot < 0)
		return;
	from = pick_point(w, ref);
	snprintf(name, sizeof(name), "b%u", w->counter++);
	how.name = name;
	how.parent = ref;
	world_note(w, "branch %s from %s", name, ref);
	r = cow_branch_create(w->t.s, &how, &e);
	WORLD_CHECK(w, r == 0, "create: %d %s", r, e.text);
	add_branch(w, slot, name, model_copy(from));
}

static void step_snapshot(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	int slot = -1, branch = world_pick_branch(w), r;

	for (int k = 0; k < SNAPSHOTS && slot < 0; k++)
		slot = w->s[k].name[0] ? -1 : k;
	if (slot < 0)
		return;
	snprintf(w->s[slot].name, sizeof(w->s[slot].name), "s%u", w->counter++);
	strcpy(w->s[slot].branch, w->b[branch].name);
	world_note(w, "snapshot %s@%s", w->s[slot].branch, w->s[slot].name);
	r = cow_snapshot_create(w->t.s, w->b[branch].name, w->s[slot].name, "", NULL, &e);
	WORLD_CHECK(w, r == 0, "snapshot: %d %s", r, e.text);
	w->s[slot].m = model_copy(w->b[branch].m);
}

static void forget_snapshot(struct world *w, int k)
{
	w->s[k].name[0] = '\0';
	model_free(w->s[k].m);
	w->s[k].m = NULL;
}

static void step_snapshot_delete(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	int k = pick_snapshot(w), r;

	if (k < 0)
		return;
	world_note(w, "delete %s@%s", w->s[k].branch, w->s[k].name);
	r = cow_snapshot_delete(w->t.s, w->s[k].branch, w->s[k].name, &e);
	WORLD_CHECK(w, r == 0, "snapshot delete: %d %s", r, e.text);
	forget_snapshot(w, k);
}

/* --- deleting for a while --- */

static int newest_id(const struct cow_deleted_info *d, void *arg)
{
	*(uint64_t *)arg = d->b.id;
	return 0;
}

/* The branch in slot k was deleted and is kept: so does the model. */
static void keep_deleted(struct world *w, int k, struct world_deleted *d)
{
	cow_deleted_each(w->t.s, newest_id, &d->id);
	strcpy(d->name, w->b[k].name);
	d->m = w->b[k].m;
	for (int j = 0; j < SNAPSHOTS; j++) {
		d->s[j] = (struct world_snapshot){.m = NULL};
		if (!w->s[j].name[0] || strcmp(w->s[j].branch, w->b[k].name) != 0)
			continue;
		d->s[j] = w->s[j];
		w->s[j] = (struct world_snapshot){.m = NULL};
	}
	w->b[k] = (struct world_branch){.m = NULL};
}

static int free_slot(const struct world_snapshot *s)
{
	int k = 0;

	while (k < SNAPSHOTS && s[k].name[0])
		k++;
	return k;
}

static void step_delete_kept(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	int k = world_pick_branch(w), others = 0, slot = 0, r;
	bool busy = world_is_open(w, k), kept = false;

	for (int j = 0; j < BRANCHES; j++)
		others += j != k && w->b[j].name[0];
	while (slot < DELETED && w->d[slot].id)
		slot++;
	if (!others || slot == DELETED)
		return;
	world_note(w, "delete branch %s for a while", w->b[k].name);
	r = cow_branch_delete_until(w->t.s, w->b[k].name, INT64_MAX, NULL, NULL, &kept, &e);
	WORLD_CHECK(w, r == (busy ? -EBUSY : 0), "delete: %d %s", r, e.text);
	if (busy)
		return;
	WORLD_CHECK(w, kept, "it was not kept");
	world_drop_live(w, k);
	keep_deleted(w, k, &w->d[slot]);
}

void world_forget_deleted(struct world *w, int k)
{
	struct cow_error e = COW_ERROR_INIT;
	int r;

	if (!w->d[k].id)
		return;
	world_note(w, "purge %s", w->d[k].name);
	r = cow_deleted_purge(w->t.s, w->d[k].id, &e);
	WORLD_CHECK(w, r == 0, "purge: %d %s", r, e.text);
	model_free(w->d[k].m);
	for (int j = 0; j < SNAPSHOTS; j++)
		model_free(w->d[k].s[j].m);
	w->d[k] = (struct world_deleted){.m = NULL};
}

void world_undelete(struct world *w, int k)
{
	struct cow_error e = COW_ERROR_INIT;
	int slot = world_free_branch(w), r;
	char name[32];

	if (!w->d[k].id || slot < 0)
		return;
	snprintf(name, sizeof(name), "back%u", w->counter++);
	world_note(w, "undelete %s as %s", w->d[k].name, name);
	r = cow_branch_undelete(w->t.s, w->d[k].id, name, NULL, &e);
	WORLD_CHECK(w, r == 0, "undelete: %d %s", r, e.text);
	add_branch(w, slot, name, w->d[k].m);
	for (int j = 0; j < SNAPSHOTS; j++) {
		int to = free_slot(w->s);

		if (!w->d[k].s[j].name[0])
			continue;
		snprintf(w->d[k].s[j].branch, sizeof(w->d[k].s[j].branch), "%s", name);
		if (to < SNAPSHOTS) {
			w->s[to] = w->d[k].s[j];
			continue;
		}
		/* No slot to follow it in: it goes. */
		r = cow_snapshot_delete(w->t.s, name, w->d[k].s[j].name, &e);
		WORLD_CHECK(w, r == 0, "snapshot delete: %d %s", r, e.text);
		model_free(w->d[k].s[j].m);
	}
	w->d[k] = (struct world_deleted){.m = NULL};
}

static void step_undelete(struct world *w)
{
	int k = (int)world_random(w, DELETED);

	if (world_random(w, 4) == 0)
		world_forget_deleted(w, k);
	else
		world_undelete(w, k);
}

static void step_delete(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	int k = world_pick_branch(w), others = 0, r;
	bool busy = world_is_open(w, k);

	for (int j = 0; j < BRANCHES; j++)
		others += j != k && w->b[j].name[0];
	if (!others)
		return;
	world_note(w, "delete branch %s", w->b[k].name);
	r = cow_branch_delete(w->t.s, w->b[k].name, &e);
	WORLD_CHECK(w, r == (busy ? -EBUSY : 0), "delete: %d %s", r, e.text);
	if (busy)
		return;
	for (int j = 0; j < SNAPSHOTS; j++)
		if (w->s[j].name[0] && strcmp(w->s[j].branch, w->b[k].name) == 0)
			forget_snapshot(w, j);
	world_drop_live(w, k);
	model_free(w->b[k].m);
	w->b[k] = (struct world_branch){.m = NULL};
}

/* What was acquired before the contents were replaced is stale, whatever else happens. */
static void expect_stale(struct world *w, int branch)
{
	struct cow_live *l = w->b[branch].live;
	struct cow_inode *i = NULL;

	if (!l)
		return;
	WORLD_CHECK(w, cow_live_stale(l), "the live of %s is not stale", w->b[branch].name);
	WORLD_CHECK(w, cow_inode_get(l, cow_live_root(l), &i) == -ESTALE,
		    "a stale live gives inodes");
	world_drop_live(w, branch);
}

static void step_reset(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	int k = world_pick_branch(w), keep = -1, r;
	struct cow_branch_info info = {0};
	const struct model *from;
	bool to_parent = world_random(w, 3) == 0;
	char ref[REF_MAX] = "", name[32] = "";
	struct model *fresh;

	r = cow_branch_get(w->t.s, w->b[k].name, &info, &e);
	WORLD_CHECK(w, r == 0, "get %s: %d %s", w->b[k].name, r, e.text);
	if (to_parent) {
		int p = branch_of_name(w, info.parent);

		from = p >= 0 ? w->b[p].m : NULL;
	} else {
		from = pick_point(w, ref);
	}
	if (world_random(w, 3) == 0 && (keep = world_free_branch(w)) >= 0)
		snprintf(name, sizeof(name), "kept%u", w->counter++);
	world_note(w, "reset %s to %s%s%s", w->b[k].name, to_parent ? info.parent : ref,
		   keep >= 0 ? ", the old as " : "", name);
	r = cow_branch_reset(w->t.s,
			     &(struct cow_branch_reset){.name = w->b[k].name,
							.source = to_parent ? NULL : ref,
							.preserve_under = keep >= 0 ? name : NULL},
			     &e);
	cow_branch_info_release(&info);
	if (world_is_open(w, k) || !from) {
		WORLD_CHECK(w, r < 0, "a reset that cannot be was done");
		WORLD_CHECK(w, !from || r == -EBUSY, "reset of an open branch: %d %s", r, e.text);
		return;
	}
	WORLD_CHECK(w, r == 0, "reset: %d %s", r, e.text);
	expect_stale(w, k);
	fresh = model_copy(from);
	if (keep >= 0)
		add_branch(w, keep, name, w->b[k].m);
	else
		model_free(w->b[k].m);
	w->b[k].m = fresh;
}

static int adopt_snapshot(const struct cow_snapshot_info *p, void *arg)
{
	struct world *w = arg;

	for (int k = 0; k < SNAPSHOTS; k++) {
		if (w->s[k].name[0] && strcmp(w->s[k].name, p->name) == 0) {
			snprintf(w->s[k].branch, sizeof(w->s[k].branch), "%s", p->branch);
			return 0;
		}
	}
	world_die(w, "there is a snapshot %s@%s that was not made", p->branch, p->name);
}

/* Under which name a snapshot is found after the names or contents of branches were moved. */
static void adopt_snapshots(struct world *w)
{
	int r = cow_snapshot_each(w->t.s, NULL, adopt_snapshot, w);

	WORLD_CHECK(w, r == 0, "listing snapshots: %d", r);
}

static int note_default(const struct cow_branch_info *b, void *arg)
{
	if (b->is_default)
		snprintf(arg, COW_BRANCH_MAX + 1, "%s", b->name);
	return 0;
}

static void step_promote(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	int k = world_pick_branch(w), d, r;
	char main[COW_BRANCH_MAX + 1] = "";
	struct model *m;

	cow_branch_each(w->t.s, note_default, main);
	d = branch_of_name(w, main);
	if (d < 0 || d == k)
		return;
	world_note(w, "promote %s over %s", w->b[k].name, main);
	r = cow_branch_promote(w->t.s, w->b[k].name, NULL, NULL, &e);
	if (world_is_open(w, k) || world_is_open(w, d)) {
		WORLD_CHECK(w, r == -EBUSY, "promote of open branches: %d %s", r, e.text);
		return;
	}
	WORLD_CHECK(w, r == 0, "promote: %d %s", r, e.text);
	expect_stale(w, k);
	expect_stale(w, d);
	m = w->b[k].m;
	w->b[k].m = w->b[d].m;
	w->b[d].m = m;
	adopt_snapshots(w);
}

static void step_rename(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	int k = world_pick_branch(w), r;
	char name[32];

	snprintf(name, sizeof(name), "r%u/x", w->counter++);
	world_note(w, "rename %s to %s", w->b[k].name, name);
	r = cow_branch_rename(w->t.s, w->b[k].name, name, &e);
	if (world_is_open(w, k)) {
		WORLD_CHECK(w, r == -EBUSY, "rename of an open branch: %d %s", r, e.text);
		return;
	}
	WORLD_CHECK(w, r == 0, "rename: %d %s", r, e.text);
	/* A mount shows it at another place: a new incarnation. */
	expect_stale(w, k);
	strcpy(w->b[k].name, name);
	adopt_snapshots(w);
}

static void step_gc(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_gc_result g;
	int r;

	world_note(w, "gc");
	r = cow_gc_run(w->t.s, &g, &e);
	WORLD_CHECK(w, r == 0, "gc: %d %s", r, e.text);
}

static void step_reopen(struct world *w)
{
	world_note(w, "reopen");
	world_close_handles(w, -1);
	for (int k = 0; k < BRANCHES; k++)
		world_drop_live(w, k);
	tmpstore_reopen(&w->t);
}

static void step_compare(struct world *w)
{
	int k = world_pick_branch(w);

	world_note(w, "compare %s", w->b[k].name);
	world_compare_branch(w, k);
}

static void step_forget(struct world *w)
{
	int k = world_pick_branch(w);

	if (world_is_open(w, k))
		return;
	world_note(w, "let go of %s", w->b[k].name);
	world_drop_live(w, k);
}

static void step_du(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	int k = world_pick_branch(w), r;
	struct cow_du du = {0};

	world_note(w, "du %s", w->b[k].name);
	r = cow_du_branch(w->t.s, w->b[k].name, &du, &e);
	WORLD_CHECK(w, r == 0, "du: %d %s", r, e.text);
	WORLD_CHECK(w, du.logical == model_bytes(w->b[k].m), "du: %llu logical bytes, not %llu",
		    (unsigned long long)du.logical, (unsigned long long)model_bytes(w->b[k].m));
}

void world_branch_step(struct world *w)
{
	static void (*const steps[])(struct world *) = {
	    step_create,          step_create,      step_create,   step_snapshot,
	    step_snapshot,        step_snapshot,    step_delete,   step_reset,
	    step_reset,           step_promote,     step_rename,   step_gc,
	    step_compare,         step_compare,     step_forget,   step_du,
	    step_snapshot_delete, step_delete_kept, step_undelete, step_undelete,
	};

	if (world_random(w, 40) == 0)
		step_reopen(w);
	else
		steps[world_random(w, sizeof(steps) / sizeof(*steps))](w);
}
