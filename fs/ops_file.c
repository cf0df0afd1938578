// SPDX-License-Identifier: Apache-2.0
/* ops_file: open files.
 *
 * A handle is a set of flags, never a descriptor, so a write that the kernel sends later through
 * any handle of the file is right. Kept in mind: with write-back the kernel reads from files opened
 * for writing only; O_APPEND needs nothing here, because the kernel, the only writer, gives the
 * offset; and FLUSH always succeeds, because a failing close is a PANIC in postgres. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/cowfs_ll.h"
#include "fs/gate.h"
#include "fs/held.h"
#include "fs/later.h"
#include "fs/transport.h"

static bool is_writer(const struct fuse_file_info *fi)
{
	return (fi->flags & O_ACCMODE) != O_RDONLY;
}

/* With write-back the kernel accepts a write before anybody knows whether the quota allows it, so a
 * file of a branch with a quota goes round the page cache then. */
static bool is_bound(const struct cow_mount *m, enum cow_pg_kind kind, struct cow_inode *i)
{
	uint64_t quota, used;

	return !m->writethrough && cow_policy_for(kind).bound &&
	       cow_live_quota(cow_inode_live(i), &quota, &used);
}

/* Tell the store and the table of an open; answer how the kernel shall treat the file. */
static cow_errno open_inode(struct cow_mount *m, uint64_t id, struct cow_inode *i,
			    enum cow_pg_kind kind, struct fuse_file_info *fi)
{
	bool cached = cow_policy_for(kind).cached && !is_bound(m, kind, i), writer = is_writer(fi);
	cow_errno r = cow_inode_open(i, writer);

	if (r < 0)
		return r;
	cow_nodes_opened(m->nodes, id, writer);
	fi->keep_cache = cached;
	fi->direct_io = !cached;
	fi->fh = (writer ? COW_FH_WRITER : 0) | (fi->flags & O_DSYNC ? COW_FH_DSYNC : 0) |
		 (cached ? 0 : COW_FH_DIRECT);
	return 0;
}

static void close_inode(struct cow_mount *m, uint64_t id, struct cow_inode *i, bool writer)
{
	if (cow_nodes_closed(m->nodes, id, writer))
		cow_inode_close(i, writer);
}

/* A server can do without it, and would wait for the room of it. */
static bool is_refused(const struct cow_mount *m, enum cow_pg_kind kind)
{
	return cow_policy_for(kind).dispensable && cow_store_gate(m->store) != COW_GATE_OPEN;
}

void cow_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		   struct fuse_file_info *fi)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_CREATE);
	struct fuse_entry_param e = {0};
	struct cow_inode *i = NULL;
	struct cow_node dir = {0};
	cow_errno r = cow_names_dir(m, parent, name, &dir);

	if (r == 0 && is_refused(m, cow_pg_kind_of(dir.kind, name, false)))
		r = -ENOSPC;
	if (r == 0)
		r = cow_names_make(req, &dir, name, S_IFREG | (mode & 07777), 0, NULL, &i);
	if (r == 0)
		r = cow_names_entry(m, &dir, name, i, &e);
	if (r == 0) {
		r = open_inode(m, e.ino, i, cow_pg_kind_of(dir.kind, name, false), fi);
		if (r < 0)
			cow_nodes_forget(m->nodes, e.ino, 1);
	}
	if (r < 0) {
		cow_reply(req, r);
	} else if (fuse_reply_create(req, &e, fi) < 0) {
		close_inode(m, e.ino, i, is_writer(fi));
		cow_nodes_forget(m->nodes, e.ino, 1);
	}
	cow_inode_put(i);
	cow_node_put(&dir);
}

void cow_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_OPEN);
	struct cow_node node = {0};
	cow_errno r = cow_node_get(m->nodes, ino, &node);

	if (r == 0)
		r = node.inode ? open_inode(m, ino, node.inode, node.kind, fi) : -EISDIR;
	if (r == 0)
		cow_gate_tell(m, ino);
	if (r < 0)
		cow_reply(req, r);
	else if (fuse_reply_open(req, fi) < 0)
		close_inode(m, ino, node.inode, is_writer(fi));
	cow_node_put(&node);
}

void cow_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_RELEASE);
	struct cow_node node = {0};

	if (cow_node_get(m->nodes, ino, &node) == 0 && node.inode)
		close_inode(m, ino, node.inode, fi->fh & COW_FH_WRITER);
	cow_reply(req, 0);
	cow_node_put(&node);
}

/* A regular file. -ESTALE, -EISDIR; `ret` needs cow_node_put on 0. */
static cow_errno file_node(struct cow_mount *m, fuse_ino_t ino, struct cow_node *ret)
{
	cow_errno r = cow_node_get(m->nodes, ino, ret);

	return r < 0 ? r : ret->inode ? 0 : -EISDIR;
}

void cow_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_READ);
	struct cow_node node = {0};
	size_t len = 0;
	char *buf;
	cow_errno r = file_node(m, ino, &node);

	if (size > COW_REQUEST_MAX)
		size = COW_REQUEST_MAX;
	if (r == 0)
		r = cow_transport_read_buffer(m, req, size, &buf);
	if (r == 0)
		r = cow_file_read(node.inode, buf, (uint64_t)off, size, &len);
	if (r < 0)
		cow_reply(req, r);
	else
		fuse_reply_buf(req, buf, len);
	cow_node_put(&node);
}

static void work_write(struct cow_job *j)
{
	if (j->result != -EINTR) /* whoever wrote is about to end: held.c */
		j->result =
		    cow_file_write(j->inode, j->data, j->off, j->size, j->flags | COW_WRITE_NOWAIT);
}

static bool write_is_due(struct cow_job *j)
{
	return cow_file_may_write(j->inode, j->size, j->flags);
}

static void answer_write(struct cow_job *j)
{
	cow_gate_wrote(j->m, j->ino);
	if (j->result < 0)
		cow_reply(j->req, j->result);
	else
		fuse_reply_write(j->req, j->size);
}

/* The disk is full and the write waits: copied out, so that it holds no thread. */
static cow_errno hold_write(struct cow_mount *m, fuse_req_t req, const struct cow_node *node,
			    const char *buf, size_t size, off_t off, unsigned flags)
{
	struct cow_job *j = cow_job_new(req, node->inode);

	if (!j || !(j->data = malloc(size))) {
		if (j)
			cow_job_free(j);
		return -ENOSPC;
	}
	memcpy(j->data, buf, size);
	j->m = m;
	j->ino = node->id;
	j->size = size;
	j->off = (uint64_t)off;
	j->flags = flags;
	j->pid = flags & COW_WRITE_CACHED ? 0 : fuse_req_ctx(req)->pid;
	j->work = work_write;
	j->answer = answer_write;
	j->due = write_is_due;
	j->held = m->held;
	cow_held_add(m->held, j);
	return 0;
}

void cow_op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		  struct fuse_file_info *fi)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_WRITE);
	/* A page written back belongs to no handle; its O_DSYNC comes as an FSYNC of its own. */
	unsigned flags = fi->writepage           ? COW_WRITE_CACHED
			 : fi->fh & COW_FH_DSYNC ? COW_WRITE_DSYNC
						 : 0;
	struct cow_node node = {0};
	cow_errno r = file_node(m, ino, &node);

	/* Of a relation postgres takes a refusal as an ordinary error, of anything else as the end.
	 */
	if (r == 0 && !fi->writepage && cow_policy_for(node.kind).bound)
		flags |= COW_WRITE_BOUND;
	if (r == 0)
		r = cow_file_write(node.inode, buf, (uint64_t)off, size, flags | COW_WRITE_NOWAIT);
	if (r == -EAGAIN && (r = hold_write(m, req, &node, buf, size, off, flags)) == 0) {
		cow_node_put(&node);
		return;
	}
	cow_node_put(&node);
	cow_gate_wrote(m, ino);
	if (r < 0)
		cow_reply(req, r);
	else
		fuse_reply_write(req, size);
}

void cow_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	cow_op_begin(req, FUSE_FLUSH);
	cow_reply(req, 0);
}

/* With write-back the kernel keeps size and times itself, but st_blocks is what we said last. Only
 * attributes are forgotten, no pages: this waits for nobody. */
static void refresh_blocks(struct fuse_session *se, fuse_ino_t ino, struct cow_inode *i)
{
	if (cow_inode_blocks_moved(i))
		fuse_lowlevel_notify_inval_inode(se, ino, -1, 0);
}

static void work_sync(struct cow_job *j)
{
	j->result = cow_file_sync(j->inode, j->datasync);
	refresh_blocks(j->se, j->ino, j->inode);
}

static void answer_sync(struct cow_job *j)
{
	cow_reply(j->req, j->result);
}

/* The sync of a relation may take long; of anything else it is one short host write. */
static struct cow_job *sync_job(struct cow_mount *m, fuse_req_t req, const struct cow_node *node)
{
	if (!cow_transport_is_shared(m) || !cow_policy_for(node->kind).cached)
		return NULL;
	return cow_job_new(req, node->inode);
}

void cow_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_FSYNC);
	struct cow_node node = {0};
	cow_errno r = file_node(m, ino, &node);
	struct cow_job *j = r == 0 ? sync_job(m, req, &node) : NULL;

	if (j) {
		j->work = work_sync;
		j->answer = answer_sync;
		j->datasync = datasync != 0;
		j->se = m->se;
		j->ino = ino;
		cow_later_do(m->later, j);
	} else {
		if (r == 0) {
			r = cow_file_sync(node.inode, datasync != 0);
			refresh_blocks(m->se, ino, node.inode);
		}
		cow_reply(req, r);
	}
	cow_node_put(&node);
}

void cow_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		      struct fuse_file_info *fi)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_FALLOCATE);
	struct cow_node node = {0};
	cow_errno r = file_node(m, ino, &node);

	if (r == 0)
		r = cow_file_allocate(node.inode, mode, (uint64_t)off, (uint64_t)len);
	cow_reply(req, r);
	cow_node_put(&node);
}

static void work_seek(struct cow_job *j)
{
	int r = fuse_lowlevel_notify_inval_inode(j->se, j->ino, 0, 0);

	/* ENOENT: nothing is cached. */
	j->result =
	    r < 0 && r != -ENOENT ? -EIO : cow_file_seek(j->inode, j->off, j->whence, &j->ret);
}

static void answer_seek(struct cow_job *j)
{
	if (j->result < 0)
		cow_reply(j->req, j->result);
	else
		fuse_reply_lseek(j->req, (off_t)j->ret);
}

/* The kernel asks without writing back first. While somebody has a cached file open for writing,
 * what looks like a hole here may be a dirty page there, and a copy would lose it. So the kernel is
 * made to write back, by telling it to forget the pages; those writes are requests too, so a thread
 * that serves requests must not wait for them. After the last close nothing is dirty. */
static bool kernel_may_know_better(const struct cow_mount *m, const struct cow_node *node)
{
	return !m->writethrough && node->writers > 0 && cow_policy_for(node->kind).cached;
}

static void seek_later(fuse_req_t req, struct cow_mount *m, const struct cow_node *node, off_t off,
		       int whence)
{
	struct cow_job *j = cow_job_new(req, node->inode);

	if (!j) {
		cow_reply(req, -ENOMEM);
		return;
	}
	j->work = work_seek;
	j->answer = answer_seek;
	j->se = m->se;
	j->ino = node->id;
	j->off = (uint64_t)off;
	j->whence = whence;
	cow_later_do(m->later, j);
}

void cow_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_LSEEK);
	struct cow_node node = {0};
	uint64_t to = 0;
	cow_errno r = file_node(m, ino, &node);

	if (r == 0 && kernel_may_know_better(m, &node)) {
		seek_later(req, m, &node, off, whence);
		cow_node_put(&node);
		return;
	}
	if (r == 0)
		r = cow_file_seek(node.inode, (uint64_t)off, whence, &to);
	if (r < 0)
		cow_reply(req, r);
	else
		fuse_reply_lseek(req, (off_t)to);
	cow_node_put(&node);
}
