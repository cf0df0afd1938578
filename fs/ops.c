// SPDX-License-Identifier: Apache-2.0
/* ops: the table of operations, and what is agreed with the kernel at INIT.
 *
 * Left out on purpose: locks (the kernel keeps them for local processes), access
 * (default_permissions), ioctl, poll, bmap. */
#include "fs/cowfs_ll.h"
#include "fs/transport.h"

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
static void want(struct fuse_conn_info *conn, uint64_t cap, bool on)
{
	if (on)
		fuse_set_feature_flag(conn, cap);
	else
		fuse_unset_feature_flag(conn, cap);
}
#else
static void want(struct fuse_conn_info *conn, unsigned cap, bool on)
{
	if (on)
		conn->want |= conn->capable & cap;
	else
		conn->want &= ~cap;
}
#endif

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct cow_mount *m = userdata;

	want(conn, FUSE_CAP_WRITEBACK_CACHE, !m->writethrough);
	/* Every write changes mtime: with this on the kernel would drop the file's pages each time.
	 */
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
	want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	want(conn, FUSE_CAP_ASYNC_READ, true);
	want(conn, FUSE_CAP_ASYNC_DIO, true);
	want(conn, FUSE_CAP_CACHE_SYMLINKS, true);
	want(conn, FUSE_CAP_READDIRPLUS, true);
	want(conn, FUSE_CAP_READDIRPLUS_AUTO, true);
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, false);
	/* Off, so that the kernel itself takes set-user-id bits away, by SETATTR: libfuse does not
	 * tell a write that has to from one that must not. getxattr is ENOSYS, so it costs no
	 * request otherwise. */
	want(conn, FUSE_CAP_HANDLE_KILLPRIV, false);
#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2
	want(conn, FUSE_CAP_HANDLE_KILLPRIV_V2, false);
#endif
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
	want(conn, FUSE_CAP_DIRECT_IO_ALLOW_MMAP, true);
	want(conn, FUSE_CAP_OVER_IO_URING, m->transport == COW_TRANSPORT_URING);
#endif
	conn->max_write = COW_REQUEST_MAX;
	conn->max_readahead = COW_REQUEST_MAX;
	conn->max_background = cow_transport_background(m);
	conn->congestion_threshold = conn->max_background / 4 * 3;
	conn->time_gran = 1;
}

const struct fuse_lowlevel_ops cow_ops = {
    .init = op_init,
    .lookup = cow_op_lookup,
    .forget = cow_op_forget,
    .forget_multi = cow_op_forget_multi,
    .getattr = cow_op_getattr,
    .setattr = cow_op_setattr,
    .statfs = cow_op_statfs,
    .setxattr = cow_op_setxattr,
    .getxattr = cow_op_getxattr,
    .listxattr = cow_op_listxattr,
    .removexattr = cow_op_removexattr,
    .readlink = cow_op_readlink,
    .symlink = cow_op_symlink,
    .mknod = cow_op_mknod,
    .mkdir = cow_op_mkdir,
    .unlink = cow_op_unlink,
    .rmdir = cow_op_rmdir,
    .rename = cow_op_rename,
    .link = cow_op_link,
    .create = cow_op_create,
    .open = cow_op_open,
    .release = cow_op_release,
    .read = cow_op_read,
    .write = cow_op_write,
    .flush = cow_op_flush,
    .fsync = cow_op_fsync,
    .fallocate = cow_op_fallocate,
    .lseek = cow_op_lseek,
    .opendir = cow_op_opendir,
    .readdir = cow_op_readdir,
    .readdirplus = cow_op_readdirplus,
    .releasedir = cow_op_releasedir,
    .fsyncdir = cow_op_fsyncdir,
};
