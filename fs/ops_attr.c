// SPDX-License-Identifier: Apache-2.0
/* ops_attr: attributes of files, and of the mount as a whole. Extended attributes are not
 * supported: ENOSYS makes the kernel stop asking, which saves a request for every write. */
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/cowfs_ll.h"
#include "fs/gate.h"
#include "store/cleanup.h"

enum { OWN_DIR_MODE = S_IFDIR | 0755 };

cow_errno cow_node_stat(const struct cow_node *node, struct stat *ret)
{
	struct cow_attr a;

	memset(ret, 0, sizeof(*ret));
	ret->st_ino = node->id;
	ret->st_blksize = COW_BLOCK;
	if (!node->inode) {
		ret->st_mode = OWN_DIR_MODE;
		ret->st_nlink = 2;
		ret->st_uid = geteuid();
		ret->st_gid = getegid();
		return 0;
	}
	if (cow_live_stale(cow_inode_live(node->inode)))
		return -ESTALE;
	cow_inode_attr(node->inode, &a);
	ret->st_mode = a.mode;
	ret->st_nlink = a.nlink;
	ret->st_uid = a.uid;
	ret->st_gid = a.gid;
	ret->st_rdev = a.rdev;
	ret->st_size = (off_t)a.size;
	ret->st_blocks = (blkcnt_t)a.blocks;
	ret->st_atim = a.atime;
	ret->st_mtim = a.mtime;
	ret->st_ctim = a.ctime;
	return 0;
}

void cow_reply_attr(struct cow_mount *m, fuse_req_t req, const struct cow_node *node)
{
	struct stat st;
	cow_errno r = cow_node_stat(node, &st);

	cow_gate_tell(m, node->id);
	if (r < 0)
		cow_reply(req, r);
	else
		fuse_reply_attr(req, &st, COW_FOREVER);
}

void cow_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_GETATTR);
	struct cow_node node = {0};
	cow_errno r = cow_node_get(m->nodes, ino, &node);

	if (r == 0 && fi)
		r = cow_gate_ask(m, req, &node, (unsigned)fi->fh);
	if (r == -EINPROGRESS) /* it waits at the gate, and is answered from there */
		;
	else if (r < 0)
		cow_reply(req, r);
	else
		cow_reply_attr(m, req, &node);
	cow_node_put(&node);
}

static unsigned mask_of(int to_set)
{
	static const struct {
		int fuse;
		unsigned cow;
	} map[] = {
	    {FUSE_SET_ATTR_MODE, COW_SET_MODE},
	    {FUSE_SET_ATTR_UID, COW_SET_UID},
	    {FUSE_SET_ATTR_GID, COW_SET_GID},
	    {FUSE_SET_ATTR_SIZE, COW_SET_SIZE},
	    {FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW, COW_SET_ATIME},
	    {FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW, COW_SET_MTIME},
	    {FUSE_SET_ATTR_CTIME, COW_SET_CTIME},
	};
	unsigned mask = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(*map); i++)
		if (to_set & map[i].fuse)
			mask |= map[i].cow;
	return mask;
}

void cow_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		    struct fuse_file_info *fi)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_SETATTR);
	struct cow_attr a = {
	    .mode = attr->st_mode,
	    .uid = attr->st_uid,
	    .gid = attr->st_gid,
	    .size = (uint64_t)attr->st_size,
	    .atime = attr->st_atim,
	    .mtime = attr->st_mtim,
	    .ctime = attr->st_ctim,
	};
	struct cow_node node = {0};
	cow_errno r = cow_node_get(m->nodes, ino, &node);

	/* "Now" is what the kernel's clock said, which comes along: with write-back it marks only
	 * the access time as now, and both have to be the same moment. */
	if (r == 0)
		r = node.inode ? cow_inode_set(node.inode, mask_of(to_set), &a) : -EPERM;
	if (r < 0)
		cow_reply(req, r);
	else
		cow_reply_attr(m, req, &node);
	cow_node_put(&node);
}

/* In a branch with a quota that is the size, and free is what is left of it, if the host has it. */
static void show_quota(const struct cow_live *l, struct statvfs *st)
{
	uint64_t quota, used, left;

	if (!cow_live_quota(l, &quota, &used))
		return;
	left = quota > used ? (quota - used) / st->f_frsize : 0;
	st->f_blocks = quota / st->f_frsize;
	st->f_bfree = COW_MIN(left, (uint64_t)st->f_bfree);
	st->f_bavail = COW_MIN(left, (uint64_t)st->f_bavail);
}

void cow_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_STATFS);
	struct cow_node node = {0};
	struct statvfs st;

	if (statvfs(cow_store_path(m->store), &st) < 0) {
		cow_reply(req, -errno);
		return;
	}
	st.f_namemax = COW_NAME_MAX;
	if (cow_node_get(m->nodes, ino, &node) == 0 && node.inode)
		show_quota(cow_inode_live(node.inode), &st);
	cow_node_put(&node);
	fuse_reply_statfs(req, &st);
}

void cow_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		     size_t size, int flags)
{
	cow_op_begin(req, FUSE_SETXATTR);
	cow_reply(req, -ENOSYS);
}

void cow_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	cow_op_begin(req, FUSE_GETXATTR);
	cow_reply(req, -ENOSYS);
}

void cow_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	cow_op_begin(req, FUSE_LISTXATTR);
	cow_reply(req, -ENOSYS);
}

void cow_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	cow_op_begin(req, FUSE_REMOVEXATTR);
	cow_reply(req, -ENOSYS);
}
