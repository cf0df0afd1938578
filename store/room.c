// SPDX-License-Identifier: Apache-2.0
#include "store/room.h"

#include <errno.h>
#include <sys/statvfs.h>
#include <time.h>

#include "store/cleanup.h"
#include "store/log.h"

enum { LOOK_MS = 20, WAIT_MS = 100, TELL_S = 60 };

#define RESERVE_MAX                                                                                \
	(128ull << 20) /* bytes of each reserve on a large host; a sixteenth on a small one */

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* lock held */
static void look(struct cow_room *m, bool now)
{
	struct statvfs host;
	int64_t at = monotonic_ns();

	if (!now && at - m->looked_ns < LOOK_MS * 1000000ll)
		return;
	m->looked_ns = at;
	if (fstatvfs(m->dirfd, &host) == 0)
		m->left = (int64_t)((uint64_t)host.f_bavail * host.f_frsize) - (int64_t)m->for_map;
}

void cow_room_init(struct cow_room *m, int dirfd, bool fail)
{
	struct statvfs host;
	uint64_t share = RESERVE_MAX;

	*m = (struct cow_room){.dirfd = dirfd, .fail = fail};
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	if (fstatvfs(dirfd, &host) == 0)
		share = COW_MIN(share, (uint64_t)host.f_blocks * host.f_frsize / 16);
	m->for_map = m->for_data = share;
	look(m, true);
}

cow_errno cow_room_take(struct cow_room *m, enum cow_room_use use, uint64_t bytes)
{
	int64_t floor = use == COW_ROOM_NEW ? (int64_t)m->for_data : 0;
	WITH_LOCK(&m->lock);

	look(m, false);
	if (m->left - (int64_t)bytes < floor)
		look(m, true);
	if (m->left - (int64_t)bytes < floor)
		return -ENOSPC;
	m->left -= (int64_t)bytes;
	return 0;
}

cow_errno cow_room_wait(struct cow_room *m, const _Atomic bool *gone)
{
	struct timespec until;
	WITH_LOCK(&m->lock);

	if (m->fail || m->closing || *gone)
		return -ENOSPC;
	m->waiting++;
	if (m->told_ns == 0 || monotonic_ns() - m->told_ns > TELL_S * 1000000000ll) {
		m->told_ns = monotonic_ns();
		cow_log_error("the host's disk is full: writes wait until space appears; delete "
			      "branches or snapshots, or free space beside the store");
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += WAIT_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_clockwait(&m->changed, &m->lock, CLOCK_MONOTONIC, &until);
	m->waiting--;
	return m->closing || *gone ? -ENOSPC : 0;
}

void cow_room_close(struct cow_room *m)
{
	WITH_LOCK(&m->lock);

	m->closing = true;
	pthread_cond_broadcast(&m->changed);
}

enum cow_room_state cow_room_state(struct cow_room *m, uint64_t *ret_waiting)
{
	WITH_LOCK(&m->lock);

	look(m, false);
	*ret_waiting = m->waiting;
	return m->left < 0 || m->waiting        ? COW_ROOM_CRITICAL
	       : m->left < (int64_t)m->for_data ? COW_ROOM_LOW
						: COW_ROOM_PLENTY;
}
