// SPDX-License-Identifier: Apache-2.0
#include "fs/holdback.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/bdi.h"
#include "store/cleanup.h"
#include "store/log.h"
#include "store/os.h"

/* Where the limit cannot be read (the kernel's own default is 1 % of what may be dirty). */
#define GUESS (64ull << 20)
/* While room is scarce. The kernel goes over it by some pages for each core. */
#define SCARCE (128ull << 10)

void cow_holdback_init(struct cow_holdback *h, const char *mountpoint)
{
	char text[32];

	*h = (struct cow_holdback){.bytes = GUESS};
	if (!cow_bdi_path(mountpoint, "max_bytes", h->path, sizeof(h->path)))
		return;
	if (cow_os_read_small(AT_FDCWD, h->path, text, sizeof(text)) == 0)
		h->bytes = strtoull(text, NULL, 10);
	else
		h->path[0] = '\0';
	if (h->bytes == 0 || access(h->path, W_OK) < 0)
		h->path[0] = '\0';
	h->bytes = h->bytes ? h->bytes : GUESS;
}

uint64_t cow_holdback_scarce(const struct cow_holdback *h)
{
	return h->path[0] ? COW_MIN(h->bytes, SCARCE) : h->bytes;
}

static void set(const struct cow_holdback *h, uint64_t bytes)
{
	CLEANUP_FD int fd = open(h->path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || dprintf(fd, "%" PRIu64 "\n", bytes) < 0)
		cow_log_warn("%s: %s", h->path, strerror(errno));
}

void cow_holdback_limit(struct cow_holdback *h, uint64_t bytes)
{
	if (!h->path[0] || bytes >= h->bytes)
		return;
	h->bytes = bytes;
	set(h, bytes);
}

void cow_holdback_follow(struct cow_holdback *h, enum cow_room_state state)
{
	if (state == h->state || !h->path[0])
		return;
	h->state = state;
	set(h, state == COW_ROOM_PLENTY ? h->bytes : cow_holdback_scarce(h));
}
