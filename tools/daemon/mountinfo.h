// SPDX-License-Identifier: Apache-2.0
/* mountinfo: which store is mounted somewhere, as the kernel tells it.
 *
 * Reads /proc/self/mountinfo; never makes a path call below the mount point, which may hang. */
#pragma once
#include "store/error.h"

/* Both buffers are PATH_MAX. `mountpoint` may be relative or have a "/" at its end.
 * -ENOENT nothing is mounted there, -EINVAL something else than cowfs is. */
cow_errno mountinfo_find(const char *mountpoint, char *ret_mountpoint, char *ret_store,
			 struct cow_error *e);

/* Take a dead mount away (lazily): umount2 as root, else fusermount3. */
cow_errno mountinfo_detach(const char *mountpoint);
