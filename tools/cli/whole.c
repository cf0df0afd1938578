// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/whole.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *whole_path;

void whole_set_path(const char *path)
{
	whole_path = path;
}

cow_errno whole_execute(char **argv, struct cow_error *e)
{
	char self[PATH_MAX], path[PATH_MAX];
	ssize_t n;
	cow_errno r;

	if (!whole_path)
		return 0;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0) {
		r = -errno;
		return cow_fail(e, r, "cannot find this executable in /proc: %s", strerror(-r));
	}
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	if (snprintf(path, sizeof(path), "%s/%s", self, whole_path) >= (int)sizeof(path))
		return cow_fail(e, -ENAMETOOLONG, "the path of the executable is too long: %s",
				self);
	execv(path, argv);
	r = -errno;
	cow_fail(e, r, "cannot execute %s: %s", path, strerror(-r));
	return cow_hint(e, r, "It belongs to cowfs and is installed with it (cmake --install).");
}
