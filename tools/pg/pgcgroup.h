// SPDX-License-Identifier: Apache-2.0
/* pgcgroup: limits of one server for memory and processors, by the kernel's control groups (v2).
 *
 * A server gets a group of its own, below that of cowfs serve. The kernel allows limits only below
 * a group without processes, so serve moves itself into a group "cowfs-serve" beside those of the
 * servers. It needs a group that belongs to it alone: systemd gives one with Delegate=yes
 * (tools/systemd). Where there is none, servers run without limits, and whoever asked for them is
 * told why. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "store/error.h"

/* The group that holds the groups of servers, into `ret`. -ENOTSUP with the reason. */
cow_errno pgcgroup_base(char *ret, size_t size, struct cow_error *e);

/* Once, before any child: move this process out of the way and switch the controllers on. Does
 * nothing in a group that is not ours alone; then _open says why. */
void pgcgroup_prepare(const char *base);

/* Make the group `name` (a slug) below `base` with these limits (0 = none); *ret_fd is its
 * cgroup.procs, to be written to by the process that becomes the server. -ENOTSUP. */
cow_errno pgcgroup_open(const char *base, const char *name, uint64_t memory_bytes, double cpus,
			int *ret_fd, struct cow_error *e);

/* Its server is gone. Never fails: a group that is not there, or in use, is left alone. */
void pgcgroup_remove(const char *base, const char *name);
