// SPDX-License-Identifier: Apache-2.0
#include "fs/bdi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "store/os.h"

/* Device numbers of the last mount at this place: the one that lies on top. */
static bool device_of(const char *mountpoint, unsigned *ret_major, unsigned *ret_minor)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, at[4096], want[4096];
	size_t cap = 0, n = 0;
	bool found = false;

	/* Blanks and backslashes stand as \ooo there. */
	for (const char *p = mountpoint; *p && n + 5 < sizeof(want); p++)
		n += strchr(" \t\n\\", *p)
			 ? (size_t)snprintf(want + n, 5, "\\%03o", (unsigned char)*p)
			 : (size_t)snprintf(want + n, 2, "%c", *p);
	want[n] = '\0';
	while (f && getline(&line, &cap, f) > 0) {
		unsigned major, minor;

		if (sscanf(line, "%*s %*s %u:%u %*s %4095s", &major, &minor, at) != 3 ||
		    strcmp(at, want) != 0)
			continue;
		*ret_major = major;
		*ret_minor = minor;
		found = true;
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

bool cow_bdi_path(const char *mountpoint, const char *what, char *ret, size_t size)
{
	unsigned major, minor;

	if (!device_of(mountpoint, &major, &minor))
		return false;
	snprintf(ret, size, "/sys/class/bdi/%u:%u/%s", major, minor, what);
	return true;
}

void cow_bdi_read_ahead(const char *mountpoint, unsigned kib)
{
	CLEANUP_FD int fd = -1;
	char path[64], text[32];

	if (!cow_bdi_path(mountpoint, "read_ahead_kb", path, sizeof(path)) ||
	    cow_os_read_small(AT_FDCWD, path, text, sizeof(text)) < 0 ||
	    strtoul(text, NULL, 10) >= kib || access(path, W_OK) < 0)
		return;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || dprintf(fd, "%u\n", kib) < 0)
		cow_log_warn("%s: %s", path, strerror(errno));
}
