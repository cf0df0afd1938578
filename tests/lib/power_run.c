// SPDX-License-Identifier: Apache-2.0
/* power_run: a plan carried out on a store through its public calls (and core.h for another map).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/core.h"
#include "tests/lib/power_plan.h"

struct run {
	const struct plan_run *how;
	struct cow_store *s;
	struct cow_error e;
	int op;
	struct cow_inode *held[32]; /* as a kernel holds what it has looked up */
};

static cow_errno open_store(struct run *r)
{
	const struct cow_store_options o = {.no_background = true};

	if (!r->how->open_kv)
		return cow_store_open(r->how->path, &o, &r->s, &r->e);
	return cow_store_open_kv(r->how->path, &o, r->how->open_kv(r->how->arg), &r->s, &r->e);
}

/* Two files of three stay in memory for a while; the others are loaded again each time. */
static void hold(struct run *r, struct cow_inode *i)
{
	struct cow_inode **at = &r->held[r->op % 32];

	if (cow_inode_number(i) % 3 == 0)
		return;
	cow_inode_put(*at);
	*at = cow_inode_ref(i);
}

static void let_go(struct run *r)
{
	for (size_t k = 0; k < 32; k++) {
		cow_inode_put(r->held[k]);
		r->held[k] = NULL;
	}
}

static const char *branch_name(int branch)
{
	static const char *const names[PLAN_BRANCHES] = {"b0", "b1", "b2", "b3"};

	return names[branch];
}

/* The directory that holds the name, and the last part of the name. */
static cow_errno dir_of(struct cow_live *l, int name, struct cow_inode **ret, const char **ret_name)
{
	const char *path = plan_name(name);
	struct cow_inode *root = NULL;
	cow_errno r = cow_inode_get(l, cow_live_root(l), ret);

	*ret_name = path;
	if (r < 0 || !strchr(path, '/'))
		return r;
	root = *ret;
	r = cow_name_lookup(root, "d", ret);
	cow_inode_put(root);
	*ret_name = path + 2;
	return r;
}

static cow_errno setup(struct run *r)
{
	const struct cow_branch_create how = {
	    .name = "b0", .empty = true, .root_mode = S_IFDIR | 0700};
	const struct cow_name_create d = {.mode = S_IFDIR | 0700};
	struct cow_live *l = NULL;
	struct cow_inode *root = NULL, *dir = NULL;
	cow_errno rc = cow_store_create(r->how->path, &r->e);

	if (rc == -EEXIST)
		rc = 0;
	if (rc < 0 || (rc = open_store(r)) < 0 || (rc = cow_branch_create(r->s, &how, &r->e)) < 0 ||
	    (rc = cow_live_get(r->s, "b0", &l, &r->e)) < 0)
		return rc;
	rc = cow_inode_get(l, cow_live_root(l), &root);
	if (rc == 0)
		rc = cow_name_create(root, "d", &d, &dir);
	if (rc == 0)
		rc = cow_live_sync(l);
	cow_inode_put(dir);
	cow_inode_put(root);
	cow_live_put(l);
	return rc;
}

static cow_errno write_file(struct cow_inode *i, const struct plan_op *o, int op)
{
	uint8_t *buf = malloc((size_t)o->len);
	cow_errno r;

	memset(buf, o->fill, (size_t)o->len);
	/* As the model stamps it: at the beginning of what falls into each page. */
	for (uint64_t at = 0; at < o->len;) {
		uint64_t next = ((o->off + at) / PLAN_PAGE + 1) * PLAN_PAGE - o->off;

		if (o->len - at >= 4 && next - at >= 4)
			memcpy(buf + at, &op, 4);
		at = next;
	}
	r = cow_file_write(i, buf, o->off, (size_t)o->len,
			   o->kind == PLAN_WRITE_DSYNC ? COW_WRITE_DSYNC : 0);
	free(buf);
	return r;
}

static cow_errno do_data(struct run *r, const struct plan_op *o, struct cow_inode *i)
{
	const struct cow_attr a = {.size = o->off};

	switch (o->kind) {
	case PLAN_WRITE:
	case PLAN_WRITE_DSYNC:
		return write_file(i, o, r->op);
	case PLAN_FSYNC:
		return cow_file_sync(i, false);
	case PLAN_FDATASYNC:
		return cow_file_sync(i, true);
	case PLAN_TRUNCATE:
		return cow_inode_set(i, COW_SET_SIZE, &a);
	case PLAN_PUNCH:
		return cow_file_allocate(i, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, o->off,
					 o->len);
	default:
		return cow_file_allocate(i, 0, o->off, o->len);
	}
}

static cow_errno do_name(struct run *r, const struct plan_op *o, struct cow_inode *dir,
			 const char *name, struct cow_inode *dir2, const char *name2)
{
	const struct cow_name_create how = {.mode = S_IFREG | 0600};
	struct cow_inode *i = NULL;
	cow_errno rc;

	switch (o->kind) {
	case PLAN_CREATE:
		rc = cow_name_create(dir, name, &how, &i);
		break;
	case PLAN_RENAME:
		return cow_name_rename(dir, name, dir2, name2, 0);
	case PLAN_LINK:
		rc = cow_name_lookup(dir, name, &i);
		if (rc == 0)
			rc = cow_name_link(i, dir2, name2);
		break;
	case PLAN_UNLINK:
		return cow_name_unlink(dir, name);
	default:
		rc = cow_name_lookup(dir, name, &i);
		if (rc == 0)
			rc = do_data(r, o, i);
	}
	if (rc == 0 && i)
		hold(r, i);
	cow_inode_put(i);
	return rc;
}

static cow_errno do_files(struct run *r, const struct plan_op *o)
{
	struct cow_live *l = NULL;
	struct cow_inode *dir = NULL, *dir2 = NULL;
	const char *name, *name2;
	cow_errno rc = cow_live_get(r->s, branch_name(o->branch), &l, &r->e);

	if (rc < 0)
		return rc;
	if ((rc = dir_of(l, o->name, &dir, &name)) == 0 &&
	    (rc = dir_of(l, o->name2, &dir2, &name2)) == 0)
		rc = do_name(r, o, dir, name, dir2, name2);
	cow_inode_put(dir);
	cow_inode_put(dir2);
	cow_live_put(l);
	return rc;
}

static cow_errno sync_branch(struct run *r, int branch)
{
	struct cow_live *l = NULL;
	cow_errno rc = cow_live_get(r->s, branch_name(branch), &l, &r->e);

	if (rc == 0)
		rc = cow_live_sync(l);
	cow_live_put(l);
	return rc;
}

/* In one commit with the contents, so that after a cut they agree (power_check.c). */
static cow_errno note_restore(void *arg, const char *was, char **ret, struct cow_error *e)
{
	return asprintf(ret, "{\"op\":%d}", *(const int *)arg) < 0 ? -ENOMEM : 0;
}

static cow_errno restore(struct run *r, const struct plan *p, const struct plan_op *o)
{
	char text[32];
	const struct cow_branch_reset how = {.name = branch_name(o->branch),
					     .source = text,
					     .edit = note_restore,
					     .edit_arg = &r->op};

	snprintf(text, sizeof(text), "%s@s%d", branch_name(p->snapshot[o->snapshot].branch),
		 o->snapshot);
	return cow_branch_reset(r->s, &how, &r->e);
}

static cow_errno carry_out(struct run *r, const struct plan *p, const struct plan_op *o)
{
	struct cow_branch_create how = {.name = branch_name(o->kind == PLAN_BRANCH ? o->name2 : 0),
					.parent = branch_name(o->branch),
					.ephemeral =
					    o->kind == PLAN_BRANCH && o->name2 == PLAN_EPHEMERAL};
	struct cow_gc_result gc;
	char text[32];
	cow_errno rc;

	switch (o->kind) {
	case PLAN_SETUP:
		return setup(r);
	case PLAN_SNAPSHOT:
		snprintf(text, sizeof(text), "s%d", o->snapshot);
		return cow_snapshot_create(r->s, branch_name(o->branch), text, NULL, NULL, &r->e);
	case PLAN_SNAPSHOT_DELETE:
		snprintf(text, sizeof(text), "s%d", o->snapshot);
		return cow_snapshot_delete(r->s, branch_name(o->branch), text, &r->e);
	case PLAN_BRANCH:
		return cow_branch_create(r->s, &how, &r->e);
	case PLAN_BRANCH_DELETE:
		return cow_branch_delete(r->s, branch_name(o->branch), &r->e);
	case PLAN_RESTORE:
		return restore(r, p, o);
	case PLAN_GC:
		return cow_gc_run(r->s, &gc, &r->e);
	case PLAN_TRIMS:
		cow_background_trims(r->s);
		return 0;
	case PLAN_SYNC_BRANCH:
		return sync_branch(r, o->branch);
	case PLAN_SYNC_STORE:
		return cow_store_sync(r->s);
	case PLAN_REOPEN:
		let_go(r);
		rc = cow_store_close(r->s, &r->e);
		r->s = NULL;
		return rc < 0 ? rc : open_store(r);
	default:
		return do_files(r, o);
	}
}

int plan_run(const struct plan *p, const struct plan_run *how)
{
	struct run r = {.how = how, .e = COW_ERROR_INIT};
	char text[32];

	for (; r.op < (int)p->n; r.op++) {
		cow_errno rc;

		snprintf(text, sizeof(text), "B %d", r.op);
		how->mark(text);
		rc = carry_out(&r, p, &p->op[r.op]);
		if (rc < 0) {
			fprintf(stderr, "operation %d (%s): %d %s\n", r.op,
				plan_kind_name(p->op[r.op].kind), rc, r.e.text);
			plan_print(p, r.op - 3, r.op);
			return r.op;
		}
		snprintf(text, sizeof(text), "E %d", r.op);
		how->mark(text);
	}
	return -1;
}
