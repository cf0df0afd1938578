// SPDX-License-Identifier: Apache-2.0
/* The salt: a file of its own, for its owner alone, never in the folder of rules and never in a
 * branch. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/os.h"
#include "tools/golden/digest.h"
#include "tools/golden/mask.h"

#define SALT_BYTES 32u
#define SALT_LEAST 16 /* characters of a salt that the user wrote */

static cow_errno make_salt(const char *path, char *ret, struct cow_error *e)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	cow_errno r = fd < 0 ? -errno : digest_random(SALT_BYTES, ret);

	if (r == 0)
		r = cow_os_pwrite(fd, ret, strlen(ret), 0);
	/* Losing it would change every fake at the next refresh. */
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? cow_fail(e, r, "cannot make the salt %s: %s", path, strerror(-r)) : 0;
}

static cow_errno read_salt(int fd, const char *path, char *ret, struct cow_error *e)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return cow_fail(e, -errno, "cannot look at %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077)) {
		cow_fail(e, -EPERM, "the salt %s can be read by others than its owner", path);
		return cow_hint(e, -EPERM,
				"Anybody who has it can try out values. Close it: chmod "
				"600 %s, and think about a new one.",
				path);
	}
	n = read(fd, ret, GOLDEN_SALT_SIZE - 1);
	if (n < 0)
		return cow_fail(e, -errno, "cannot read %s: %s", path, strerror(errno));
	ret[n] = '\0';
	ret[strcspn(ret, "\r\n")] = '\0';
	if (strlen(ret) < SALT_LEAST)
		return cow_fail(e, -EINVAL, "the salt in %s is shorter than %d characters", path,
				SALT_LEAST);
	return 0;
}

cow_errno golden_salt(const struct golden_conf *conf, const char *store, char *ret,
		      struct cow_error *e)
{
	char own[PATH_MAX];
	const char *path = conf->salt;
	CLEANUP_FD int fd = -1;

	if (!path) {
		/* A name may have slashes; the folder is flat. */
		int n = snprintf(own, sizeof(own), "%s/golden", store);

		if (mkdir(own, 0700) < 0 && errno != EEXIST)
			return cow_fail(e, -errno, "cannot make %s: %s", own, strerror(errno));
		n += snprintf(own + n, sizeof(own) - (size_t)n, "/%s.salt", conf->name);
		for (char *p = own + strlen(store) + 8; *p; p++)
			if (*p == '/')
				*p = '_';
		path = own;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return read_salt(fd, path, ret, e);
	if (errno != ENOENT)
		return cow_fail(e, -errno, "cannot read the salt %s: %s", path, strerror(errno));
	return make_salt(path, ret, e);
}
