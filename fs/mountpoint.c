// SPDX-License-Identifier: Apache-2.0
/* mountpoint: checks before a mount, and removal of what a dead daemon left behind. */
#include "fs/mountpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/log.h"

/* --- the system --- */

static cow_errno check_kernel(struct cow_error *e)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return 0; /* a kernel that does not say is not refused */
	if (major > COW_KERNEL_MIN_MAJOR ||
	    (major == COW_KERNEL_MIN_MAJOR && minor >= COW_KERNEL_MIN_MINOR))
		return 0;
	cow_fail(e, -ENOSYS, "linux %s is too old", u.release);
	return cow_hint(e, -ENOSYS, "A mount needs Linux %d.%d or newer; 6.18 is what was tested.",
			COW_KERNEL_MIN_MAJOR, COW_KERNEL_MIN_MINOR);
}

static bool have_fusermount(void)
{
	const char *path = getenv("PATH");
	CLEANUP_FREE char *copy = strdup(path ? path : "/usr/bin:/bin");
	char *rest = copy, *dir, file[PATH_MAX];

	while (copy && (dir = strsep(&rest, ":"))) {
		snprintf(file, sizeof(file), "%s/fusermount3", dir);
		if (access(file, X_OK) == 0)
			return true;
	}
	return false;
}

static cow_errno check_fuse(struct cow_error *e)
{
	if (access("/dev/fuse", R_OK | W_OK) < 0) {
		cow_errno r = errno == EACCES ? -EACCES : -EPERM;

		cow_fail(e, r, "cannot use /dev/fuse: %s", strerror(errno));
		if (r == -EACCES)
			return cow_hint(e, r,
					"Mount as root, or let other users have the device: chmod "
					"666 /dev/fuse.");
		return cow_hint(
		    e, r,
		    "Load the module with `modprobe fuse`; in a container pass the device "
		    "(--device /dev/fuse --cap-add SYS_ADMIN).");
	}
	if (geteuid() != 0 && !have_fusermount()) {
		cow_fail(e, -EPERM, "fusermount3 is not installed");
		return cow_hint(
		    e, -EPERM,
		    "Install the package fuse3, or mount as root: a plain user needs fusermount3.");
	}
	return 0;
}

static void warn_of_timeout(const char *file)
{
	FILE *f = fopen(file, "re");
	unsigned seconds = 0;

	if (!f)
		return;
	if (fscanf(f, "%u", &seconds) == 1 && seconds > 0)
		cow_log_warn(
		    "%s is %u: one fsync slower than that aborts the mount under a running "
		    "postgres; set it to 0",
		    file, seconds);
	fclose(f);
}

cow_errno cow_mountpoint_check_system(struct cow_error *e)
{
	cow_errno r = check_kernel(e);

	if (r == 0)
		r = check_fuse(e);
	if (r == 0) {
		warn_of_timeout("/proc/sys/fs/fuse/default_request_timeout");
		warn_of_timeout("/proc/sys/fs/fuse/max_request_timeout");
	}
	return r;
}

/* --- the place --- */

/* Undo the octal escapes of mountinfo in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		unsigned c;

		if (*s == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
			*to++ = (char)c;
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

/* File system type of the topmost mount at exactly `path`; "" when nothing is mounted there. */
static void mounted_type(const char *path, char type[64])
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	size_t cap = 0;

	type[0] = 0;
	while (f && getline(&line, &cap, f) > 0) {
		CLEANUP_FREE char *where = NULL;
		const char *dash = strstr(line, " - ");

		if (!dash || sscanf(line, "%*s %*s %*s %*s %ms", &where) != 1)
			continue;
		unescape(where);
		if (strcmp(where, path) == 0)
			sscanf(dash, " - %63s", type);
	}
	if (f)
		fclose(f);
}

/* The real path, also of a directory whose mount is dead and cannot be looked at. */
static cow_errno real_path(const char *path, char ret[PATH_MAX])
{
	CLEANUP_FREE char *copy = NULL;
	char dir[PATH_MAX], *slash;
	size_t len;
	cow_errno r;

	if (realpath(path, ret))
		return 0;
	r = -errno;
	if (r != -ENOTCONN && r != -ECONNABORTED && r != -EIO)
		return r;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	for (len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
		copy[len - 1] = 0;
	slash = strrchr(copy, '/');
	*slash = 0;
	if (!realpath(*copy ? copy : "/", dir))
		return -errno;
	len = (size_t)snprintf(ret, PATH_MAX, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, slash + 1);
	return len < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static cow_errno clear_dead(const char *path, const char *type, struct cow_error *e)
{
	cow_errno r;

	if (strcmp(type, "fuse.cowfs") != 0) {
		cow_fail(e, -EBUSY, "a dead mount of type %s is at %s", type, path);
		return cow_hint(e, -EBUSY, "Remove it with `umount -l %s`.", path);
	}
	cow_log_warn("%s: the daemon of an earlier mount is dead; unmounting what it left", path);
	r = cow_mountpoint_unmount(path, true);
	if (r < 0) {
		cow_fail(e, -EBUSY, "cannot remove the dead mount at %s: %s", path, strerror(-r));
		return cow_hint(e, -EBUSY, "Remove it with `umount -l %s`.", path);
	}
	return 0;
}

static cow_errno check_empty(const char *path, struct cow_error *e)
{
	DIR *d = opendir(path);
	const struct dirent *entry;
	cow_errno r = d ? 0 : -errno;

	if (!d)
		return cow_fail(e, r, "cannot read mount point %s: %s", path, strerror(-r));
	while (r == 0 && (entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = cow_fail(e, -ENOTEMPTY, "mount point %s is not empty: it holds %s",
				     path, entry->d_name);
	closedir(d);
	return r < 0 ? cow_hint(e, r, "Choose or make an empty directory for the mount.") : 0;
}

cow_errno cow_mountpoint_check(const char *path, char ret[PATH_MAX], struct cow_error *e)
{
	char type[64];
	struct statvfs vfs;
	struct stat st;
	cow_errno r;

	if (path[0] != '/')
		return cow_fail(e, -EINVAL, "mount point %s is not an absolute path", path);
	r = real_path(path, ret);
	if (r == -ENOENT)
		return cow_hint(e, cow_fail(e, r, "mount point %s does not exist", path),
				"Make it with `mkdir -p %s`.", path);
	if (r < 0)
		return cow_fail(e, r, "mount point %s: %s", path, strerror(-r));
	mounted_type(ret, type);
	/* Asked first because it is never answered from the kernel's cache: a dead mount cannot
	 * look alive. */
	if (statvfs(ret, &vfs) < 0 || stat(ret, &st) < 0) {
		r = -errno;
		if (!*type || (r != -ENOTCONN && r != -ECONNABORTED && r != -EIO))
			return cow_fail(e, r, "mount point %s: %s", path, strerror(-r));
		if ((r = clear_dead(ret, type, e)) < 0)
			return r;
		mounted_type(ret, type);
		if (stat(ret, &st) < 0)
			return cow_fail(e, -errno, "mount point %s: %s", path, strerror(errno));
	}
	if (*type)
		return cow_hint(
		    e, cow_fail(e, -EBUSY, "%s is in use by a mount of type %s", path, type),
		    "Unmount it with `cowfs unmount %s`, or choose another directory.", path);
	if (!S_ISDIR(st.st_mode))
		return cow_hint(e, cow_fail(e, -ENOTDIR, "mount point %s is not a directory", path),
				"Choose or make an empty directory for the mount.");
	return check_empty(ret, e);
}

/* --- taking a mount away --- */

static cow_errno run_fusermount(const char *path, bool lazy)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		execlp("fusermount3", "fusermount3", lazy ? "-uqz" : "-uq", "--", path,
		       (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -EPERM : -EBUSY;
}

cow_errno cow_mountpoint_unmount(const char *path, bool lazy)
{
	if (umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	return errno == EPERM && geteuid() != 0 ? run_fusermount(path, lazy) : -errno;
}

bool cow_path_is_below(const char *inner, const char *outer)
{
	size_t len = strlen(outer);

	if (strcmp(outer, "/") == 0)
		return true;
	return strncmp(inner, outer, len) == 0 && (inner[len] == '/' || inner[len] == 0);
}
