// SPDX-License-Identifier: Apache-2.0
/* cowfs_ll: private to fs/: the mount's state, and what all operations share.
 *
 * Rules for operations: each request is answered exactly once, on every path; no lock of fs/ is
 * held over a call into the store or a reply (but that of the gate's thread of the moment, which
 * puts nodes); errors are 0 or -errno until they are answered. */
#pragma once
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

/* Opcodes for the counters; after libfuse's header, which defines some of the same names. */
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/branchdirs.h"
#include "fs/mount.h"
#include "fs/nodes.h"
#include "fs/pgpath.h"
#include "fs/policy.h"
#include "store/file.h"

#define COW_OPCODES 64u
#define COW_FOREVER                                                                                \
	1e9 /* seconds: only the daemon makes a name or an attribute change behind the kernel */

struct cow_gate_book;
struct cow_held;
struct cow_helper;
struct cow_later;
struct cow_notifier;

struct cow_mount {
	char mountpoint[4096]; /* real path */
	_Atomic enum cow_transport transport;
	bool writethrough, debug;
	unsigned threads;

	struct cow_store *store;
	struct fuse_session *se;
	struct cow_nodes *nodes;
	struct cow_branchdirs *dirs;
	struct cow_helper *helper;
	struct cow_notifier *notifier;

	pthread_key_t scratch; /* a buffer of COW_REQUEST_MAX for each thread that reads */
	bool have_scratch;

	struct cow_later *later;
	struct cow_held *held;
	struct cow_gate_book *gate;

	int wake_fd; /* eventfd: something for the thread that waits to look at */
	atomic_bool stop_asked, loop_over;
	bool mounted, unmounted, loop_runs; /* of the thread that runs and stops the mount */
	pthread_t loop_thread;
	cow_errno loop_result; /* once loop_over */

	_Atomic uint64_t requests[COW_OPCODES];
};

extern const struct fuse_lowlevel_ops cow_ops;

/* First call of each operation. */
static inline struct cow_mount *cow_op_begin(fuse_req_t req, unsigned opcode)
{
	struct cow_mount *m = fuse_req_userdata(req);

	atomic_fetch_add_explicit(&m->requests[opcode], 1, memory_order_relaxed);
	return m;
}

static inline void cow_reply(fuse_req_t req, cow_errno r)
{
	fuse_reply_err(req, -r);
}

/* Flags in fuse_file_info.fh: all there is of an open file. */
enum {
	COW_FH_WRITER = 1 << 0,
	COW_FH_DSYNC = 1 << 1, /* opened with O_DSYNC or O_SYNC */
	COW_FH_DIRECT = 1 << 2,
};

/* --- ops_attr.c --- */
/* Attributes to show for a node. -ESTALE. */
cow_errno cow_node_stat(const struct cow_node *node, struct stat *ret);
/* The answer to a question for attributes. */
void cow_reply_attr(struct cow_mount *m, fuse_req_t req, const struct cow_node *node);
void cow_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void cow_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		    struct fuse_file_info *fi);
void cow_op_statfs(fuse_req_t req, fuse_ino_t ino);
void cow_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		     size_t size, int flags);
void cow_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void cow_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void cow_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* --- ops_names.c --- */
/* Find `name` in the directory and count a look-up; then `ret` can be sent to the kernel, and must
 * be given back with cow_nodes_forget when it was not. -ENOENT. */
cow_errno cow_names_enter(struct cow_mount *m, const struct cow_node *dir, const char *name,
			  struct fuse_entry_param *ret);
/* A directory in which names may be changed. -EPERM: one of the mount's own; -ENAMETOOLONG. `ret`
 * needs cow_node_put on 0. */
cow_errno cow_names_dir(struct cow_mount *m, fuse_ino_t ino, const char *name,
			struct cow_node *ret);
/* Make a name for a new inode, owned by the caller of `req`; *ret is a new reference. */
cow_errno cow_names_make(fuse_req_t req, const struct cow_node *dir, const char *name, mode_t mode,
			 uint64_t rdev, const char *target, struct cow_inode **ret);
/* Count a look-up of `i` under that name and fill what the kernel is told. */
cow_errno cow_names_entry(struct cow_mount *m, const struct cow_node *dir, const char *name,
			  struct cow_inode *i, struct fuse_entry_param *ret);
void cow_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void cow_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void cow_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void cow_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void cow_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void cow_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void cow_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void cow_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
		   const char *newname, unsigned flags);
void cow_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname);

/* --- ops_symlink.c --- */
void cow_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void cow_op_readlink(fuse_req_t req, fuse_ino_t ino);

/* --- ops_dir.c --- */
void cow_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void cow_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void cow_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			struct fuse_file_info *fi);
void cow_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void cow_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

/* --- ops_file.c --- */
void cow_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		   struct fuse_file_info *fi);
void cow_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void cow_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void cow_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void cow_op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		  struct fuse_file_info *fi);
void cow_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void cow_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void cow_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		      struct fuse_file_info *fi);
void cow_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
