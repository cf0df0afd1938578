// SPDX-License-Identifier: Apache-2.0
/* ops_symlink: symbolic links, and how a target inside the own branch becomes private to it.
 *
 * A link whose absolute target lies in its own branch is stored relative, so a branch of the branch
 * gets its own, and a bind mount of it works. A link in pg_tblspc that would leave the branch is
 * refused: redo in a fork would write into the original's tablespace (DESIGN 4.5, 4.7). */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "fs/cowfs_ll.h"
#include "fs/mountpoint.h"
#include "store/log.h"

/* The part of an absolute target below the root of the branch that `dir` is in; NULL when it lies
 * elsewhere. */
static const char *below_branch(struct cow_mount *m, const struct cow_node *dir, const char *target)
{
	uint64_t inc = cow_live_incarnation(cow_inode_live(dir->inode));
	char root[PATH_MAX + COW_BRANCH_MAX + 2], branch[COW_BRANCH_MAX + 1];

	if (cow_branchdirs_name(m->dirs, inc, branch) < 0)
		return NULL;
	snprintf(root, sizeof(root), "%s/%s", m->mountpoint, branch);
	if (!cow_path_is_below(target, root))
		return NULL;
	target += strlen(root);
	return target + strspn(target, "/");
}

/* Does a relative target, read from `depth` directories below the root, stay in the branch? */
static bool stays_below(const char *target, int depth)
{
	while (*target) {
		size_t len = strcspn(target, "/");

		if (len == 2 && memcmp(target, "..", 2) == 0)
			depth--;
		else if (len > 0 && !(len == 1 && *target == '.'))
			depth++;
		if (depth < 0)
			return false;
		target += len + strspn(target + len, "/");
	}
	return true;
}

/* What to store for `target` in the directory `dir`. -EPERM, -ENAMETOOLONG. */
static cow_errno target_to_store(struct cow_mount *m, const struct cow_node *dir,
				 const char *target, char ret[PATH_MAX])
{
	const char *rest = *target == '/' ? below_branch(m, dir, target) : NULL;
	int depth = cow_nodes_depth(m->nodes, dir->id);
	size_t at = 0;

	if (depth < 0)
		return depth;
	if (!rest) {
		if (dir->kind == COW_PG_TBLSPC_DIR &&
		    (*target == '/' || !stays_below(target, depth))) {
			cow_log_warn("refused a tablespace outside of its branch: %s", target);
			return -EPERM;
		}
		if (strlen(target) >= PATH_MAX)
			return -ENAMETOOLONG;
		memcpy(ret, target, strlen(target) + 1);
		return 0;
	}
	if ((size_t)depth * 3 + strlen(rest) + 2 > PATH_MAX)
		return -ENAMETOOLONG;
	for (; depth > 0; depth--, at += 3)
		memcpy(ret + at, "../", 3);
	snprintf(ret + at, PATH_MAX - at, "%s", *rest || at ? rest : ".");
	return 0;
}

void cow_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_SYMLINK);
	struct fuse_entry_param e = {0};
	struct cow_inode *i = NULL;
	struct cow_node dir = {0};
	char stored[PATH_MAX];
	cow_errno r = cow_names_dir(m, parent, name, &dir);

	if (r == 0)
		r = target_to_store(m, &dir, target, stored);
	if (r == 0)
		r = cow_names_make(req, &dir, name, S_IFLNK | 0777, 0, stored, &i);
	if (r == 0)
		r = cow_names_entry(m, &dir, name, i, &e);
	if (r < 0)
		cow_reply(req, r);
	else if (fuse_reply_entry(req, &e) < 0)
		cow_nodes_forget(m->nodes, e.ino, 1);
	cow_inode_put(i);
	cow_node_put(&dir);
}

void cow_op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_READLINK);
	struct cow_node node = {0};
	char target[PATH_MAX + 1];
	size_t len = 0;
	cow_errno r = cow_node_get(m->nodes, ino, &node);

	if (r == 0)
		r = node.inode ? cow_name_readlink(node.inode, target, PATH_MAX, &len) : -EINVAL;
	target[len] = 0;
	if (r < 0)
		cow_reply(req, r);
	else
		fuse_reply_readlink(req, target);
	cow_node_put(&node);
}
