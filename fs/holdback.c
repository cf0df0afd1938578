// SPDX-License-Identifier: Apache-2.0
#include "fs/holdback.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "store/os.h"

/* Where the limit cannot be read (the kernel's own default is 1 % of what may be dirty). */
#define GUESS (64ull << 20)
/* While room is scarce. The kernel goes over it by some pages for each core. */
#define SCARCE (128ull << 10)

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

void cow_holdback_init(struct cow_holdback *h, const char *mountpoint)
{
	unsigned major, minor;
	char text[32];

	*h = (struct cow_holdback){.bytes = GUESS};
	if (!device_of(mountpoint, &major, &minor))
		return;
	snprintf(h->path, sizeof(h->path), "/sys/class/bdi/%u:%u/max_bytes", major, minor);
	if (cow_os_read_small(AT_FDCWD, h->path, text, sizeof(text)) == 0)
		h->bytes = strtoull(text, NULL, 10);
	else
		h->path[0] = '\0';
	if (h->bytes == 0 || access(h->path, W_OK) < 0)
		h->path[0] = '\0';
	h->bytes = h->bytes ? h->bytes : GUESS;
}

void cow_holdback_follow(struct cow_holdback *h, enum cow_room_state state)
{
	uint64_t bytes = state == COW_ROOM_PLENTY ? h->bytes : COW_MIN(h->bytes, SCARCE);
	CLEANUP_FD int fd = -1;

	if (state == h->state || !h->path[0])
		return;
	h->state = state;
	fd = open(h->path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || dprintf(fd, "%" PRIu64 "\n", bytes) < 0)
		cow_log_warn("%s: %s", h->path, strerror(errno));
}
