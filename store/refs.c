// SPDX-License-Identifier: Apache-2.0
/* refs: the names people give to points: NAME, NAME@SNAPSHOT, NAME@TIME, ^parent[@...]. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/core.h"
#include "store/timetext.h"

cow_errno cow_branch_read(struct cow_store *s, const char *name, struct cow_branch_rec *ret,
			  struct cow_error *e)
{
	CLEANUP(cow_buf_release) struct cow_buf v = {0};
	struct cow_key k = cow_key_branch(name);
	cow_errno r = strlen(name) > COW_BRANCH_MAX ? -ENOENT : cow_kv_get(s->kv, k.b, k.len, &v);

	if (r == -ENOENT) {
		cow_fail(e, r, "there is no branch %s", name);
		return cow_hint(e, r, "'cowfs branch list' shows them.");
	}
	if (r == 0)
		r = cow_branch_decode(v.data, v.len, ret);
	return r < 0 ? cow_fail(e, r, "the record of branch %s is damaged", name) : 0;
}

/* A time of a snapshot that was printed (microseconds) and is given back names that snapshot. */
#define SHOWN_NS 1000

struct pick {
	const char *name; /* or NULL: by time */
	int64_t before;
	struct cow_snapshot_info best;
	bool found;
};

static int pick_snapshot(const struct cow_snapshot_info *p, void *arg)
{
	struct pick *want = arg;

	if (want->name ? strcmp(p->name, want->name) == 0
		       : p->created_ns - p->created_ns % SHOWN_NS <= want->before) {
		want->best = *p;
		want->found = true;
	}
	return 0;
}

static cow_errno find_point(struct cow_store *s, const char *at, struct cow_ref *ret,
			    struct cow_error *e)
{
	struct pick want = {.name = at};
	int64_t when = 0;
	bool by_time;
	cow_errno r = cow_snapshot_each(s, ret->name, pick_snapshot, &want);

	by_time = r == 0 && !want.found && cow_time_parse(at, &when);
	if (by_time) {
		want.name = NULL;
		want.before = when;
		r = cow_snapshot_each(s, ret->name, pick_snapshot, &want);
	}
	if (r < 0)
		return cow_fail(e, r, "cannot read the snapshots of %s", ret->name);
	if (!want.found) {
		cow_fail(e, -ENOENT,
			 by_time ? "branch %s has no snapshot at or before %s"
				 : "branch %s has no snapshot %s",
			 ret->name, at);
		if (!by_time && strspn(at, "0123456789") == 4 && at[4] == '-')
			return cow_hint(e, -ENOENT,
					"A time has a date, a time of day and a zone: "
					"%s@2026-01-31T12:00:00Z.",
					ret->name);
		return cow_hint(e, -ENOENT, "'cowfs snapshot list %s' shows them.", ret->name);
	}
	ret->head = false;
	ret->at = (struct cow_point){want.best.lineage, want.best.epoch};
	ret->time_ns = want.best.created_ns;
	return 0;
}

static cow_errno parent_name(struct cow_store *s, const char *self, char out[COW_BRANCH_MAX + 1],
			     struct cow_error *e)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	cow_errno r;

	if (!self)
		return cow_fail(e, -EINVAL, "^parent means nothing here");
	if ((r = cow_branch_read(s, self, &b, e)) < 0)
		return r;
	if (b.parent_id == 0)
		return cow_fail(e, -ENOENT, "branch %s was made from nothing", self);
	if ((r = cow_branch_by_id(s, b.parent_id, out)) < 0) {
		cow_fail(e, r, "the branch that %s was made from was deleted", self);
		cow_hint(e, r, "Name another parent with --parent.");
	}
	return r;
}

cow_errno cow_ref_resolve(struct cow_store *s, const char *text, const char *self,
			  struct cow_ref *ret, struct cow_error *e)
{
	const char *at = strchr(text, '@');
	size_t n = at ? (size_t)(at - text) : strlen(text);
	cow_errno r = 0;

	*ret = (struct cow_ref){.head = true};
	if (n > COW_BRANCH_MAX)
		return cow_fail(e, -EINVAL, "the branch name in '%.40s...' is too long", text);
	if (n == 0 || (at && !at[1]))
		return cow_fail(e, -EINVAL, "'%s' names no %s", text,
				n == 0 ? "branch" : "snapshot behind '@'");
	memcpy(ret->name, text, n);
	if (strcmp(ret->name, "^parent") == 0)
		r = parent_name(s, self, ret->name, e);
	else if (strcmp(ret->name, "^self") == 0 && self)
		snprintf(ret->name, sizeof(ret->name), "%s", self);
	if (r == 0)
		r = cow_branch_read(s, ret->name, &ret->branch, e);
	if (r == 0 && at)
		r = find_point(s, at + 1, ret, e);
	if (r < 0)
		cow_branch_release(&ret->branch);
	return r;
}
