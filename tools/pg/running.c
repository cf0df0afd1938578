// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/running.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/branch.h"
#include "store/file.h"

static size_t read_postmaster_pid(struct cow_live *l, char *buf, size_t size)
{
	struct cow_inode *root = NULL, *file = NULL;
	size_t len = 0;

	if (cow_inode_get(l, cow_live_root(l), &root) == 0 &&
	    cow_name_lookup(root, "postmaster.pid", &file) == 0 &&
	    cow_file_read(file, buf, 0, size - 1, &len) < 0)
		len = 0;
	cow_inode_put(file);
	cow_inode_put(root);
	buf[len] = '\0';
	return len;
}

pid_t running_postmaster_pid(struct engine *g, const char *branch)
{
	struct cow_live *l = NULL;
	char buf[64];
	long pid = 0;

	if (cow_live_get(g->store, branch, &l, NULL) < 0)
		return 0;
	if (read_postmaster_pid(l, buf, sizeof(buf)) > 0)
		pid = strtol(buf, NULL, 10);
	cow_live_put(l);
	return pid > 0 && pid < INT_MAX ? (pid_t)pid : 0;
}

static bool is_named_postgres(pid_t pid)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (f && !fgets(name, sizeof(name), f))
		name[0] = '\0';
	if (f)
		fclose(f);
	return strcmp(name, "postgres\n") == 0;
}

bool running_postgres(struct engine *g, const char *branch, pid_t *ret_pid)
{
	char mountpoint[PATH_MAX], want[PATH_MAX + COW_BRANCH_MAX + 2], link[64], cwd[PATH_MAX];
	pid_t pid;
	ssize_t n;

	if (!engine_mountpoint(g, mountpoint, sizeof(mountpoint)))
		return false;
	pid = running_postmaster_pid(g, branch);
	if (pid == 0)
		return false;
	snprintf(link, sizeof(link), "/proc/%d/cwd", (int)pid);
	n = readlink(link, cwd, sizeof(cwd) - 1);
	cwd[n < 0 ? 0 : n] = '\0';
	snprintf(want, sizeof(want), "%s/%s", mountpoint, branch);
	/* Where a process of another user works is not shown to a daemon without root's rights:
	 * then it is one of postgres with files of the branch open. */
	if (n < 0 ? errno != EACCES || !is_named_postgres(pid) ||
			cow_branch_open_files(g->store, branch) == 0
		  : strcmp(cwd, want) != 0)
		return false;
	if (ret_pid)
		*ret_pid = pid;
	return true;
}

cow_errno running_explain(struct engine *g, const char *branch, cow_errno r, struct cow_error *e)
{
	char mountpoint[PATH_MAX];
	pid_t pid;

	if (r != -EBUSY)
		return r;
	if (running_postgres(g, branch, &pid))
		return cow_hint(e, r, "Postgres (process %d) runs on it; first: cowfs stop %s",
				(int)pid, branch);
	if (running_postmaster_pid(g, branch))
		return cow_hint(e, r,
				"It has a postmaster.pid: perhaps postgres runs on it in a "
				"container. Stop what uses it first.");
	return cow_hint(e, r, "Close what uses it first; to see it: fuser -vm %s",
			engine_mountpoint(g, mountpoint, sizeof(mountpoint)) ? mountpoint
									     : "MOUNTPOINT");
}

cow_errno running_refuse(struct engine *g, const char *branch, const char *what,
			 struct cow_error *e)
{
	pid_t pid;

	if (!running_postgres(g, branch, &pid))
		return 0;
	cow_fail(e, -EBUSY, "cannot %s %s: postgres (process %d) runs on it", what, branch,
		 (int)pid);
	return cow_hint(e, -EBUSY, "Stop it first: cowfs stop %s", branch);
}
