// SPDX-License-Identifier: Apache-2.0
/* room: the reserves, and who may draw on them. Cutting and growing a reserve are host calls under
 * the lock; both are rare, and only a first write into a block comes by here. */
#include "store/room.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "store/os.h"

enum { LOOK_MS = 20, WAIT_MS = 100, TELL_S = 60 };

/* Bytes, and the share of a small host file system that takes their place where it is less. */
#define RESERVE_MAX (128ull << 20)
#define HEADROOM_MAX (32ull << 20)
#define MARK_MAX (64ull << 20)
#define STEP (8ull << 20) /* of giving back */
#define BESIDES                                                                                    \
	(64ull << 20) /* of the data reserve: WAL and a shutdown checkpoint, beside the holdback   \
		       */
enum { RESERVE_SHARE = 16, HEADROOM_SHARE = 64, MARK_SHARE = 32 };

/* What is kept for a cache above, beside what it holds back: what it accepts until it has heard of
 * the gate. And how much before that the gate begins to close: a segment of WAL, which readers may
 * need too, and some. Of the data reserve a quarter and a half, where that is less. */
#define SLACK (8ull << 20)
#define SEGMENT (24ull << 20)

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- all of these: lock held --- */

static int64_t missing(const struct cow_reserve *v)
{
	return v->whole > v->has ? (int64_t)(v->whole - v->has) : 0;
}

/* What data may take without drawing on its reserve. */
static int64_t for_data(const struct cow_room *m)
{
	return m->left - missing(&m->map);
}

/* ... and with all of its reserve. */
static int64_t for_data_at_most(const struct cow_room *m)
{
	return for_data(m) + (int64_t)m->data.has;
}

static bool has(const struct cow_room *m, enum cow_room_use use, uint64_t bytes)
{
	int64_t want = (int64_t)bytes;

	switch (use) {
	case COW_ROOM_NEW:
		want += (int64_t)m->mark;
		/* fallthrough */
	case COW_ROOM_BOUND:
		return for_data(m) >= want + missing(&m->data);
	case COW_ROOM_DATA:
		want += (int64_t)m->kept;
		/* fallthrough */
	default:
		return for_data_at_most(m) >= want;
	}
}

static enum cow_gate gate_of(const struct cow_room *m)
{
	int64_t left = for_data_at_most(m);

	return left >= (int64_t)m->narrow ? COW_GATE_OPEN
	       : left >= (int64_t)m->kept ? COW_GATE_NARROW
					  : COW_GATE_SHUT;
}

static enum cow_room_state state_of(const struct cow_room *m)
{
	int64_t spare = for_data(m) - missing(&m->data);

	return m->waiting || spare < 0    ? COW_ROOM_CRITICAL
	       : spare < (int64_t)m->mark ? COW_ROOM_LOW
					  : COW_ROOM_PLENTY;
}

static void settle(struct cow_room *m)
{
	enum cow_room_state now = state_of(m);
	enum cow_gate gate = m->narrow ? gate_of(m) : COW_GATE_OPEN;

	if (now == m->state && gate == m->gate)
		return;
	if (m->gate == COW_GATE_OPEN && gate != COW_GATE_OPEN)
		m->gatings++;
	m->state = now;
	m->gate = gate;
	m->turns++;
	pthread_cond_broadcast(&m->changed);
}

/* At most `bytes` of the reserve become free space of the host. */
static uint64_t give(struct cow_room *m, struct cow_reserve *v, uint64_t bytes)
{
	uint64_t n = COW_MIN(v->has, bytes);

	if (n == 0 || cow_os_truncate(v->fd, v->has - n) < 0)
		return 0;
	v->has -= n;
	m->left += (int64_t)n;
	return n;
}

static void look(struct cow_room *m, bool now)
{
	struct statvfs host;
	int64_t at = monotonic_ns();

	if (!now && at - m->looked_ns < LOOK_MS * 1000000ll)
		return;
	m->looked_ns = at;
	if (fstatvfs(m->dirfd, &host) == 0)
		m->left = (int64_t)((uint64_t)host.f_bavail * host.f_frsize) - (int64_t)m->headroom;
	/* The map grows without asking. */
	if (m->left < 0)
		give(m, &m->map, COW_MAX((uint64_t)-m->left, STEP));
	settle(m);
}

static cow_errno grow(struct cow_room *m, struct cow_reserve *v, const char *name)
{
	uint64_t n = v->whole - v->has;
	cow_errno r = 0;

	if (v->fd < 0)
		v->fd = cow_os_open(m->dirfd, name, O_RDWR | O_CREAT, 0600);
	r = v->fd < 0 ? v->fd : cow_os_allocate(v->fd, v->has, n);
	if (r < 0) {
		if (v->fd >= 0) /* what a failed call may have left */
			cow_os_truncate(v->fd, v->has);
		return r;
	}
	v->has += n;
	m->left -= (int64_t)n;
	return 0;
}

/* The map's first. What waits goes before the data's own. */
static void refill(struct cow_room *m)
{
	if (!m->keeps)
		return;
	if (missing(&m->map) && m->left >= missing(&m->map))
		grow(m, &m->map, "reserve.map");
	if (missing(&m->data) && !missing(&m->map) && !m->waiting &&
	    m->left >= missing(&m->data) + (int64_t)m->mark)
		grow(m, &m->data, "reserve.data");
}

/* --- public, and what they are made of --- */

static void find(struct cow_room *m, struct cow_reserve *v, const char *name, uint64_t whole)
{
	struct stat st;

	v->whole = whole;
	v->fd = cow_os_open(m->dirfd, name, O_RDWR, 0);
	if (v->fd < 0)
		return;
	/* Blocks, not bytes: a store may have been copied with holes. */
	if (fstat(v->fd, &st) == 0 && (uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size)
		v->has = (uint64_t)st.st_size;
	else
		cow_os_truncate(v->fd, 0);
}

void cow_room_init(struct cow_room *m, int dirfd, bool fail, bool keeps)
{
	uint64_t total = UINT64_MAX;
	struct statvfs host;
	struct statfs type;

	*m = (struct cow_room){.dirfd = dirfd, .fail = fail, .keeps = keeps};
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	if (fstatvfs(dirfd, &host) == 0)
		total = (uint64_t)host.f_blocks * host.f_frsize;
	m->counts_overwrites =
	    fstatfs(dirfd, &type) == 0 && type.f_type == (__typeof__(type.f_type))BTRFS_SUPER_MAGIC;
	m->headroom = COW_MIN(HEADROOM_MAX, total / HEADROOM_SHARE);
	m->mark = COW_MIN(MARK_MAX, total / MARK_SHARE);
	find(m, &m->map, "reserve.map", COW_MIN(RESERVE_MAX, total / RESERVE_SHARE));
	find(m, &m->data, "reserve.data", COW_MIN(RESERVE_MAX, total / RESERVE_SHARE));
	look(m, true);
	refill(m);
	settle(m);
}

void cow_room_release(struct cow_room *m)
{
	if (m->map.fd >= 0)
		close(m->map.fd);
	if (m->data.fd >= 0)
		close(m->data.fd);
}

uint64_t cow_room_holdback(struct cow_room *m, uint64_t bytes, uint64_t scarce)
{
	struct statvfs host;
	uint64_t before, late;
	WITH_LOCK(&m->lock);

	if (fstatvfs(m->dirfd, &host) < 0)
		return bytes;
	m->data.whole = COW_MIN(COW_MAX(RESERVE_MAX, bytes + BESIDES),
				(uint64_t)host.f_blocks * host.f_frsize / RESERVE_SHARE);
	if (scarce) {
		m->kept = COW_MIN(scarce + SLACK, m->data.whole / 4);
		m->narrow = COW_MIN(m->kept + SEGMENT, m->data.whole / 2);
	}
	look(m, true);
	refill(m);
	settle(m);
	before = m->mark + m->data.whole - m->narrow;
	late = COW_MIN(before / 2, MARK_MAX);
	return scarce ? COW_MIN(bytes, before - late) : bytes;
}

cow_errno cow_room_take(struct cow_room *m, enum cow_room_use use, uint64_t bytes)
{
	WITH_LOCK(&m->lock);

	look(m, false);
	if (!has(m, use, bytes))
		look(m, true);
	/* What has just become free may need a moment to be seen; so what was given counts from
	 * here on, until the next look. */
	if (has(m, use, bytes) && for_data(m) < (int64_t)bytes)
		give(m, &m->data, COW_MAX((uint64_t)((int64_t)bytes - for_data(m)), STEP));
	if (!has(m, use, bytes) || for_data(m) < (int64_t)bytes) {
		settle(m);
		return -ENOSPC;
	}
	m->left -= (int64_t)bytes;
	settle(m);
	return 0;
}

bool cow_room_has(struct cow_room *m, enum cow_room_use use, uint64_t bytes)
{
	WITH_LOCK(&m->lock);

	look(m, false);
	return has(m, use, bytes);
}

bool cow_room_give(struct cow_room *m, enum cow_room_use use)
{
	bool gave;
	WITH_LOCK(&m->lock);

	gave = has(m, use, 1) && give(m, &m->data, STEP) > 0;
	settle(m);
	return gave;
}

/* lock held */
static bool waits(const struct cow_room *m, bool gone)
{
	return !m->fail && !m->closing && !gone;
}

bool cow_room_waits(struct cow_room *m, bool gone)
{
	WITH_LOCK(&m->lock);

	return waits(m, gone);
}

/* lock held */
static void hold(struct cow_room *m, bool on)
{
	m->waiting += on ? 1 : -1;
	settle(m);
	if (!on || (m->told_ns && monotonic_ns() - m->told_ns < TELL_S * 1000000000ll))
		return;
	m->told_ns = monotonic_ns();
	cow_log_error("the host's disk is full: writes wait until space appears; delete branches "
		      "or snapshots, or free space beside the store");
}

void cow_room_hold(struct cow_room *m, bool on)
{
	WITH_LOCK(&m->lock);

	hold(m, on);
}

/* lock held */
static void sleep_for(struct cow_room *m, unsigned ms)
{
	uint64_t seen = m->turns;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (m->turns == seen &&
	       pthread_cond_clockwait(&m->changed, &m->lock, CLOCK_MONOTONIC, &until) == 0)
		;
}

cow_errno cow_room_wait(struct cow_room *m, const _Atomic bool *gone)
{
	WITH_LOCK(&m->lock);

	if (!waits(m, *gone))
		return -ENOSPC;
	hold(m, true);
	sleep_for(m, WAIT_MS);
	hold(m, false);
	return waits(m, *gone) ? 0 : -ENOSPC;
}

void cow_room_await(struct cow_room *m, enum cow_room_state *state, unsigned ms)
{
	WITH_LOCK(&m->lock);

	look(m, false);
	if (m->state == *state)
		sleep_for(m, ms);
	look(m, false);
	*state = m->state;
}

void cow_room_turn(struct cow_room *m)
{
	WITH_LOCK(&m->lock);

	look(m, true);
	m->turns++;
	pthread_cond_broadcast(&m->changed);
}

void cow_room_tend(struct cow_room *m)
{
	static const char *const words[] = {
	    [COW_ROOM_PLENTY] = "there is room on the host's disk again",
	    [COW_ROOM_LOW] = "room is low on the host's disk: new branches, imports and "
			     "preallocation are refused",
	    [COW_ROOM_CRITICAL] = "room is critical on the host's disk: the reserve is in use; "
				  "once it is gone, writes wait or fail",
	};
	enum cow_room_state before, now;

	pthread_mutex_lock(&m->lock);
	before = m->told_state;
	look(m, true);
	refill(m);
	settle(m);
	now = m->told_state = m->state;
	pthread_mutex_unlock(&m->lock);
	if (now != before)
		cow_log(now == COW_ROOM_PLENTY ? COW_LOG_INFO : COW_LOG_WARN, "%s", words[now]);
}

void cow_room_close(struct cow_room *m)
{
	WITH_LOCK(&m->lock);

	m->closing = true;
	m->turns++;
	pthread_cond_broadcast(&m->changed);
}

void cow_room_stat(struct cow_room *m, struct cow_room_stat *ret)
{
	WITH_LOCK(&m->lock);

	look(m, false);
	settle(m);
	*ret = (struct cow_room_stat){
	    .state = m->state,
	    .waiting = m->waiting,
	    .map = m->map.has,
	    .data = m->data.has,
	    .map_whole = m->map.whole,
	    .data_whole = m->data.whole,
	};
}
