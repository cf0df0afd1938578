// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pgcgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cleanup.h"

#define SELF "cowfs-serve"
#define PERIOD_US 100000 /* of cpu.max */

static cow_errno refuse(struct cow_error *e, const char *why)
{
	cow_fail(e, -ENOTSUP, "memory and processors cannot be limited here: %s", why);
	return cow_hint(e, -ENOTSUP,
			"It takes cgroup v2 and a group of its own for cowfs serve: run it by "
			"tools/systemd/cowfs-serve@.service.");
}

/* Where the unified hierarchy is mounted; "" = nowhere. */
static void find_mount(char *ret, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[PATH_MAX + 256], where[PATH_MAX];

	ret[0] = '\0';
	while (f && !ret[0] && fgets(line, sizeof(line), f))
		if (strstr(line, " - cgroup2 ") &&
		    sscanf(line, "%*s %*s %*s %*s %4095s", where) == 1)
			snprintf(ret, size, "%s", where);
	if (f)
		fclose(f);
}

cow_errno pgcgroup_base(char *ret, size_t size, struct cow_error *e)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char mount[PATH_MAX], line[PATH_MAX], *own = NULL, *last;

	while (f && !own && fgets(line, sizeof(line), f))
		own = strncmp(line, "0::", 3) == 0 ? line + 3 : NULL;
	if (f)
		fclose(f);
	find_mount(mount, sizeof(mount));
	if (!own || !mount[0])
		return refuse(e, "there is no cgroup v2");
	own[strcspn(own, "\n")] = '\0';
	last = strrchr(own, '/');
	if (last && (strcmp(last + 1, SELF) == 0 || !last[1]))
		*last = '\0';
	return snprintf(ret, size, "%s%s", mount, own) >= (int)size
		   ? refuse(e, "the path of the group is too long")
		   : 0;
}

/* O_CREAT is for the imitation that tests use: the kernel made these files with the group. */
static cow_errno put(const char *group, const char *file, const char *text)
{
	char path[PATH_MAX];
	CLEANUP_FD int fd = -1;

	if (snprintf(path, sizeof(path), "%s/%s", group, file) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* "cpu" is not in "cpuset memory". */
static bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (; *text; text += strcspn(text, " \n")) {
		text += strspn(text, " \n");
		if (strncmp(text, word, n) == 0 && strchr(" \n", text[n]))
			return true;
	}
	return false;
}

/* Whether that file of the group names both; `without`: when there is no such file. */
static bool lists_controllers(const char *base, const char *file, bool without)
{
	char path[PATH_MAX], text[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", base, file);
	f = fopen(path, "re");
	if (!f)
		return without;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return has_word(text, "memory") && has_word(text, "cpu");
}

static bool has_controllers(const char *base)
{
	return lists_controllers(base, "cgroup.subtree_control", false);
}

void pgcgroup_prepare(const char *base)
{
	char self[PATH_MAX];

	if (has_controllers(base) ||
	    snprintf(self, sizeof(self), "%s/%s", base, SELF) >= (int)sizeof(self))
		return;
	if (mkdir(self, 0755) < 0 && errno != EEXIST)
		return;
	if (put(self, "cgroup.procs", "0") < 0 ||
	    put(base, "cgroup.subtree_control", "+memory +cpu") < 0) {
		/* Somebody else lives there too. */
		put(base, "cgroup.procs", "0");
		rmdir(self);
	}
}

cow_errno pgcgroup_open(const char *base, const char *name, uint64_t memory_bytes, double cpus,
			int *ret_fd, struct cow_error *e)
{
	char group[PATH_MAX], path[PATH_MAX + 16], text[64];
	cow_errno r = 0;

	if (!lists_controllers(base, "cgroup.controllers", true))
		return refuse(e, "cgroup v2 has no controllers memory and cpu on this machine, "
				 "because cgroup v1 has them or the kernel does without");
	if (!has_controllers(base))
		return refuse(e, "the controllers memory and cpu are not ours to use");
	if (snprintf(group, sizeof(group), "%s/%s", base, name) >= (int)sizeof(group))
		return refuse(e, "the path of the group is too long");
	if (mkdir(group, 0755) < 0 && errno != EEXIST)
		return refuse(e, strerror(errno));
	snprintf(text, sizeof(text), memory_bytes ? "%llu" : "max",
		 (unsigned long long)memory_bytes);
	r = put(group, "memory.max", text);
	snprintf(text, sizeof(text), cpus > 0 ? "%.0f %d" : "max", cpus * PERIOD_US, PERIOD_US);
	if (r == 0)
		r = put(group, "cpu.max", text);
	if (r < 0)
		return refuse(e, strerror(-r));
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	*ret_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return *ret_fd < 0 ? refuse(e, strerror(errno)) : 0;
}

void pgcgroup_remove(const char *base, const char *name)
{
	char group[PATH_MAX];

	if (snprintf(group, sizeof(group), "%s/%s", base, name) < (int)sizeof(group))
		rmdir(group);
}
