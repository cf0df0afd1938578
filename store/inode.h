// SPDX-License-Identifier: Apache-2.0
/* inode: files, directories and links of a live branch: attributes, life, names.
 *
 * Inode numbers are unique in the store, never used twice, and inherited unchanged by branches.
 * POSIX errno as in the system call of the same name. A name change is visible at once, is put into
 * the map in order with all other name changes, and is durable after the next fsync of anything in
 * the branch. Threads: all calls from any thread; a `struct cow_inode` is reference counted. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "store/live.h"

struct cow_inode;

struct cow_attr {
	uint64_t ino;  /* store-wide number */
	uint32_t mode; /* S_IFMT and permissions */
	uint32_t uid, gid, nlink;
	uint64_t rdev, size;
	uint64_t blocks; /* 512-byte units; what the file would take on a plain file system */
	struct timespec atime, mtime, ctime;
};

/* -ENOENT unknown or already freed, -ESTALE, -EIO damaged record. Takes a reference. */
cow_errno cow_inode_get(struct cow_live *l, uint64_t ino, struct cow_inode **ret);
struct cow_inode *cow_inode_ref(struct cow_inode *i);
void cow_inode_put(struct cow_inode *i); /* NULL is fine */

uint64_t cow_inode_number(const struct cow_inode *i);
struct cow_live *cow_inode_live(const struct cow_inode *i); /* borrowed; valid while `i` is held */
void cow_inode_attr(struct cow_inode *i, struct cow_attr *ret);
/* The space the file takes is another than at the last _attr: a cache of attributes above is
 * behind. */
bool cow_inode_blocks_moved(struct cow_inode *i);

enum {
	COW_SET_MODE = 1 << 0,
	COW_SET_UID = 1 << 1,
	COW_SET_GID = 1 << 2,
	COW_SET_SIZE = 1 << 3,
	COW_SET_ATIME = 1 << 4,
	COW_SET_MTIME = 1 << 5,
	COW_SET_CTIME = 1 << 6,
};
/* Set the attributes named in `mask` from `a`; ctime becomes now unless set. Size as ftruncate. */
cow_errno cow_inode_set(struct cow_inode *i, unsigned mask, const struct cow_attr *a);

/* An open file stays readable after its last name went. `writer`: opened for writing. -ESTALE its
 * last name went before (look it up again), -EROFS. */
cow_errno cow_inode_open(struct cow_inode *i, bool writer);
void cow_inode_close(struct cow_inode *i, bool writer);

/* First write into an unowned run of `blocks` aligned blocks owns all of it (WAL segments).
 * Default 1. A hint that is not stored; the mount sets it by file kind. */
void cow_inode_set_own_run(struct cow_inode *i, uint32_t blocks);

/* --- names. `dir` must be a directory (-ENOTDIR). *ret is a new reference. --- */

cow_errno cow_name_lookup(struct cow_inode *dir, const char *name, struct cow_inode **ret);

struct cow_name_create {
	uint32_t mode; /* with S_IFMT: regular, directory, symlink, fifo, socket, device */
	uint32_t uid, gid;
	uint64_t rdev;
	const char *target; /* of a symlink, else NULL */
};
cow_errno cow_name_create(struct cow_inode *dir, const char *name,
			  const struct cow_name_create *how, struct cow_inode **ret);
cow_errno cow_name_link(struct cow_inode *i, struct cow_inode *dir, const char *name);
cow_errno cow_name_unlink(struct cow_inode *dir, const char *name); /* not for directories */
cow_errno cow_name_rmdir(struct cow_inode *dir, const char *name);
/* flags: 0, RENAME_NOREPLACE, RENAME_EXCHANGE (<linux/fs.h>); others -EINVAL. */
cow_errno cow_name_rename(struct cow_inode *from_dir, const char *from, struct cow_inode *to_dir,
			  const char *to, unsigned flags);
/* Bytes written without a NUL at the end; -EINVAL no symlink, -ERANGE buffer too small. */
cow_errno cow_name_readlink(struct cow_inode *i, char *buf, size_t size, size_t *ret_len);

/* Every name in the directory as of now, in no order, without . and ..; `type` is S_IFMT bits.
 * Names are copied before the first call: `each` may change the directory.
 * A non-zero answer stops and is returned. */
cow_errno cow_name_each(struct cow_inode *dir,
			int (*each)(const char *name, uint64_t ino, uint32_t type, void *arg),
			void *arg);
