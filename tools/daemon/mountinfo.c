// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/mountinfo.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define FS_TYPE "fuse.cowfs"

extern char **environ;

/* Blanks and backslashes stand as \ooo there. In place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		unsigned v;

		if (s[0] == '\\' && sscanf(s + 1, "%3o", &v) == 1 && strlen(s) >= 4) {
			*to++ = (char)v;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /root /mnt rw opts - type source super": true and the three that matter. */
static bool split(char *line, char **ret_at, char **ret_type, char **ret_source)
{
	char *rest = strstr(line, " - "), *save = NULL, *word = NULL;

	if (!rest)
		return false;
	*rest = '\0';
	word = strtok_r(line, " ", &save);
	for (int k = 0; word && k < 4; k++)
		word = strtok_r(NULL, " ", &save);
	*ret_at = word;
	*ret_type = strtok_r(rest + 3, " ", &save);
	*ret_source = strtok_r(NULL, " ", &save);
	if (!*ret_at || !*ret_type || !*ret_source)
		return false;
	unescape(*ret_at);
	unescape(*ret_source);
	return true;
}

/* Absolute, and with every link resolved but in its last part: that one may be a mount that hangs.
 */
static cow_errno canonical(const char *path, char *ret, struct cow_error *e)
{
	char copy[PATH_MAX], dir[PATH_MAX];
	char *slash;
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 0 || len >= sizeof(copy))
		return cow_fail(e, -EINVAL, "'%s' is not a path", path);
	memcpy(copy, path, len);
	copy[len] = '\0';
	slash = strrchr(copy, '/');
	if (strcmp(copy, ".") == 0 || strcmp(copy, "..") == 0 || slash == copy) {
		if (slash != copy && !realpath(copy, dir))
			return cow_fail(e, -errno, "%s: %s", path, strerror(errno));
		snprintf(ret, PATH_MAX, "%s", slash == copy ? copy : dir);
		return 0;
	}
	if (slash)
		*slash = '\0';
	if (!realpath(slash ? copy : ".", dir))
		return cow_fail(e, -errno, "%s: %s", path, strerror(errno));
	if ((size_t)snprintf(ret, PATH_MAX, "%s/%s", strcmp(dir, "/") ? dir : "",
			     slash ? slash + 1 : copy) >= PATH_MAX)
		return cow_fail(e, -ENAMETOOLONG, "%s: %s", path, strerror(ENAMETOOLONG));
	return 0;
}

cow_errno mountinfo_find(const char *mountpoint, char *ret_mountpoint, char *ret_store,
			 struct cow_error *e)
{
	char *line = NULL, *at, *type, *source;
	cow_errno r = canonical(mountpoint, ret_mountpoint, e);
	size_t cap = 0;
	FILE *f;

	if (r < 0)
		return r;
	f = fopen("/proc/self/mountinfo", "re");
	if (!f)
		return cow_fail(e, -errno, "/proc/self/mountinfo: %s", strerror(errno));
	r = cow_fail(e, -ENOENT, "nothing is mounted on %s", ret_mountpoint);
	/* The last one counts: it lies above those before it. */
	while (getline(&line, &cap, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!split(line, &at, &type, &source) || strcmp(at, ret_mountpoint) != 0)
			continue;
		r = 0;
		if (strcmp(type, FS_TYPE) != 0)
			r = cow_fail(e, -EINVAL, "what is mounted on %s is not cowfs but %s",
				     ret_mountpoint, type);
		snprintf(ret_store, PATH_MAX, "%s", source);
	}
	free(line);
	fclose(f);
	return r;
}

cow_errno mountinfo_detach(const char *mountpoint)
{
	char *argv[] = {"fusermount3", "-u", "-z", "--", (char *)mountpoint, NULL};
	int status = 0;
	pid_t child;

	if (umount2(mountpoint, MNT_DETACH) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	if (posix_spawnp(&child, argv[0], NULL, NULL, argv, environ) != 0)
		return -EPERM;
	if (waitpid(child, &status, 0) < 0 || status != 0)
		return -EPERM;
	return 0;
}
