// SPDX-License-Identifier: Apache-2.0
/* mountpoint: may a mount be made here, and how one is taken away.
 *
 * No thread of a daemon may call _unmount on its own mount while it serves (pushpages.h does). */
#pragma once
#include <limits.h>
#include <stdbool.h>

#include "store/error.h"

/* What cowfs needs and libfuse asks for; what was tested is newer. */
#define COW_KERNEL_MIN_MAJOR 5
#define COW_KERNEL_MIN_MINOR 4

/* -ENOSYS kernel too old; -EPERM, -EACCES /dev/fuse or fusermount3 cannot be used. Logs a warning
 * when the kernel would abort a mount whose fsync is slow. */
cow_errno cow_mountpoint_check_system(struct cow_error *e);

/* Unmount a dead mount at `path` (logged), then check that it is an empty directory with nothing
 * mounted on it. *ret is its real path. -ENOENT, -ENOTDIR, -ENOTEMPTY, -EBUSY, -EINVAL (not
 * absolute). */
cow_errno cow_mountpoint_check(const char *path, char ret[PATH_MAX], struct cow_error *e);

/* umount2, or fusermount3 for those who are not root. -EBUSY in use, -EINVAL not mounted. */
cow_errno cow_mountpoint_unmount(const char *path, bool lazy);

/* `inner` is `outer` or lies below it. Both are real paths. */
bool cow_path_is_below(const char *inner, const char *outer);
