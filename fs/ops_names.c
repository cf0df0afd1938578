// SPDX-License-Identifier: Apache-2.0
/* ops_names: finding, making, moving and removing names.
 *
 * A name may be cached by the kernel for ever, absent ones too: within a branch every change goes
 * through the kernel, and changes of branches are told to it (notify.h). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/cowfs_ll.h"
#include "fs/gate.h"
#include "fs/transport.h"

cow_errno cow_names_entry(struct cow_mount *m, const struct cow_node *dir, const char *name,
			  struct cow_inode *i, struct fuse_entry_param *ret)
{
	struct cow_node node = {.parent = dir->id, .inode = i};
	struct cow_attr a;
	cow_errno r;

	cow_inode_attr(i, &a);
	node.kind = dir->inode ? cow_pg_kind_of(dir->kind, name, S_ISDIR(a.mode)) : COW_PG_ROOT;
	r = cow_nodes_remember(m->nodes, i, dir->id, node.kind, &node.id);
	if (r < 0)
		return r;
	r = cow_node_stat(&node, &ret->attr);
	if (r < 0) {
		cow_nodes_forget(m->nodes, node.id, 1);
		return r;
	}
	ret->ino = node.id;
	ret->generation = 1; /* inode numbers are never used twice */
	ret->entry_timeout = ret->attr_timeout = COW_FOREVER;
	cow_gate_tell(m, node.id);
	return 0;
}

static cow_errno enter_branch(struct cow_mount *m, const struct cow_node *dir, const char *branch,
			      struct fuse_entry_param *ret)
{
	struct cow_inode *root = NULL;
	struct cow_live *l;
	cow_errno r = cow_live_get(m->store, branch, &l, NULL);

	if (r < 0)
		return r;
	r = cow_inode_get(l, cow_live_root(l), &root);
	if (r == 0)
		r = cow_names_entry(m, dir, "", root, ret);
	cow_inode_put(root);
	cow_live_put(l);
	return r;
}

static cow_errno enter_prefix(struct cow_mount *m, const struct cow_node *dir, const char *path,
			      struct fuse_entry_param *ret)
{
	struct cow_node node = {.parent = dir->id};
	cow_errno r = cow_nodes_remember_path(m->nodes, path, dir->id, &node.id);

	if (r < 0)
		return r;
	ret->ino = node.id;
	ret->generation = 1;
	ret->entry_timeout = ret->attr_timeout = COW_FOREVER;
	return cow_node_stat(&node, &ret->attr);
}

static cow_errno enter_own(struct cow_mount *m, const struct cow_node *dir, const char *name,
			   struct fuse_entry_param *ret)
{
	char path[sizeof(dir->path) + COW_NAME_MAX + 1];

	snprintf(path, sizeof(path), "%s%s%s", dir->path, *dir->path ? "/" : "", name);
	switch (cow_branchdirs_find(m->dirs, path)) {
	case COW_BRANCHDIR_BRANCH:
		return enter_branch(m, dir, path, ret);
	case COW_BRANCHDIR_PREFIX:
		return enter_prefix(m, dir, path, ret);
	default:
		return -ENOENT;
	}
}

cow_errno cow_names_enter(struct cow_mount *m, const struct cow_node *dir, const char *name,
			  struct fuse_entry_param *ret)
{
	struct cow_inode *i = NULL;
	cow_errno r;

	memset(ret, 0, sizeof(*ret));
	if (strlen(name) > COW_NAME_MAX)
		return -ENAMETOOLONG;
	if (!dir->inode)
		return enter_own(m, dir, name, ret);
	r = cow_name_lookup(dir->inode, name, &i);
	if (r == 0)
		r = cow_names_entry(m, dir, name, i, ret);
	cow_inode_put(i);
	return r;
}

/* An answer the kernel did not take (the caller was killed) is no look-up. */
static void reply_entry(struct cow_mount *m, fuse_req_t req, const struct fuse_entry_param *e)
{
	if (fuse_reply_entry(req, e) < 0 && e->ino)
		cow_nodes_forget(m->nodes, e->ino, 1);
}

void cow_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_LOOKUP);
	struct fuse_entry_param e = {0};
	struct cow_node dir = {0};
	cow_errno r = cow_node_get(m->nodes, parent, &dir);

	cow_transport_note(m, req);
	if (r == 0)
		r = cow_names_enter(m, &dir, name, &e);
	if (r == -ENOENT) {
		e = (struct fuse_entry_param){.entry_timeout = COW_FOREVER};
		r = 0;
	}
	if (r < 0)
		cow_reply(req, r);
	else
		reply_entry(m, req, &e);
	cow_node_put(&dir);
}

void cow_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_FORGET);

	cow_nodes_forget(m->nodes, ino, nlookup);
	fuse_reply_none(req);
}

void cow_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_BATCH_FORGET);

	for (size_t i = 0; i < count; i++)
		cow_nodes_forget(m->nodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* --- changes --- */

cow_errno cow_names_dir(struct cow_mount *m, fuse_ino_t ino, const char *name, struct cow_node *ret)
{
	cow_errno r;

	if (strlen(name) > COW_NAME_MAX)
		return -ENAMETOOLONG;
	r = cow_node_get(m->nodes, ino, ret);
	return r < 0 ? r : ret->inode ? 0 : -EPERM;
}

cow_errno cow_names_make(fuse_req_t req, const struct cow_node *dir, const char *name, mode_t mode,
			 uint64_t rdev, const char *target, struct cow_inode **ret)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct cow_name_create how = {
	    .mode = mode, .uid = ctx->uid, .gid = ctx->gid, .rdev = rdev, .target = target};
	struct cow_attr a;

	cow_inode_attr(dir->inode, &a);
	if (a.mode & S_ISGID) {
		how.gid = a.gid;
		if (S_ISDIR(mode))
			how.mode |= S_ISGID;
	}
	return cow_name_create(dir->inode, name, &how, ret);
}

static void make(fuse_req_t req, struct cow_mount *m, fuse_ino_t parent, const char *name,
		 mode_t mode, dev_t rdev)
{
	struct fuse_entry_param e = {0};
	struct cow_inode *i = NULL;
	struct cow_node dir = {0};
	cow_errno r = cow_names_dir(m, parent, name, &dir);

	if (r == 0)
		r = cow_names_make(req, &dir, name, mode, rdev, NULL, &i);
	if (r == 0)
		r = cow_names_entry(m, &dir, name, i, &e);
	if (r < 0)
		cow_reply(req, r);
	else
		reply_entry(m, req, &e);
	cow_inode_put(i);
	cow_node_put(&dir);
}

void cow_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	make(req, cow_op_begin(req, FUSE_MKNOD), parent, name, mode, rdev);
}

void cow_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	make(req, cow_op_begin(req, FUSE_MKDIR), parent, name, S_IFDIR | (mode & 07777), 0);
}

void cow_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_UNLINK);
	struct cow_node dir = {0};
	cow_errno r = cow_names_dir(m, parent, name, &dir);

	if (r == 0)
		r = cow_name_unlink(dir.inode, name);
	cow_reply(req, r);
	cow_node_put(&dir);
}

void cow_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_RMDIR);
	struct cow_node dir = {0};
	cow_errno r = cow_names_dir(m, parent, name, &dir);

	if (r == 0)
		r = cow_name_rmdir(dir.inode, name);
	cow_reply(req, r);
	cow_node_put(&dir);
}

/* The inode behind `name` has another kind now (xlogtemp becomes a segment), and the kernel will
 * not look it up again. Nothing to do when it is gone already. */
static void moved(struct cow_mount *m, const struct cow_node *dir, const char *name)
{
	struct cow_inode *i = NULL;
	struct cow_attr a;
	uint64_t id;

	if (cow_name_lookup(dir->inode, name, &i) < 0)
		return;
	cow_inode_attr(i, &a);
	if (cow_node_id(i, &id) == 0)
		cow_nodes_move(m->nodes, id, dir->id,
			       cow_pg_kind_of(dir->kind, name, S_ISDIR(a.mode)));
	cow_inode_put(i);
}

void cow_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
		   const char *newname, unsigned flags)
{
	struct cow_mount *m = cow_op_begin(req, flags ? FUSE_RENAME2 : FUSE_RENAME);
	struct cow_node from = {0}, to = {0};
	cow_errno r = cow_names_dir(m, parent, name, &from);

	if (r == 0)
		r = cow_names_dir(m, newparent, newname, &to);
	if (r == 0 && cow_inode_live(from.inode) != cow_inode_live(to.inode))
		r = -EXDEV;
	if (r == 0)
		r = cow_name_rename(from.inode, name, to.inode, newname, flags);
	if (r == 0) {
		moved(m, &to, newname);
		if (flags & RENAME_EXCHANGE)
			moved(m, &from, name);
	}
	cow_reply(req, r);
	cow_node_put(&from);
	cow_node_put(&to);
}

void cow_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_LINK);
	struct fuse_entry_param e = {0};
	struct cow_node node = {0}, dir = {0};
	cow_errno r = cow_names_dir(m, newparent, newname, &dir);

	if (r == 0)
		r = cow_node_get(m->nodes, ino, &node);
	if (r == 0 && !node.inode)
		r = -EPERM;
	if (r == 0 && cow_inode_live(node.inode) != cow_inode_live(dir.inode))
		r = -EXDEV;
	if (r == 0)
		r = cow_name_link(node.inode, dir.inode, newname);
	if (r == 0)
		r = cow_names_entry(m, &dir, newname, node.inode, &e);
	if (r < 0)
		cow_reply(req, r);
	else
		reply_entry(m, req, &e);
	cow_node_put(&node);
	cow_node_put(&dir);
}
