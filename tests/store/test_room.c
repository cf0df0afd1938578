// SPDX-License-Identifier: Apache-2.0
/* The two reserves, on a small file system of their own (tmpfs, 256 MiB; needs root). */
#include "store/room.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/tmpstore.h"

#define MIB (1ll << 20)
#define TOTAL (256 * MIB)
#define RESERVE (TOTAL / 16)
#define HEADROOM (TOTAL / 64)
#define MARK (TOTAL / 32)

static char dir[256];
static struct cow_room room;
static int dirfd_;

static void small_host(void)
{
	tmpdir_make(dir, sizeof(dir));
	if (mount("tmpfs", dir, "tmpfs", 0, "size=256m,mode=700") < 0) {
		rmdir(dir);
		cr_skip_test("cannot mount a tmpfs: %d", errno);
	}
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(dirfd_, 0);
	cow_room_init(&room, dirfd_, false, true);
}

static void small_host_ends(void)
{
	cow_room_release(&room);
	close(dirfd_);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

TestSuite(room, .init = small_host, .fini = small_host_ends);

static uint64_t size_of(const char *name)
{
	struct stat st;

	return fstatat(dirfd_, name, &st, 0) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

/* Somebody else's file; 0 bytes removes it. */
static void others_use(long long bytes)
{
	int fd = openat(dirfd_, "others", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	cr_assert(fd >= 0 && ftruncate(fd, 0) == 0);
	if (bytes > 0)
		cr_assert_eq(posix_fallocate(fd, 0, bytes), 0);
	close(fd);
	cow_room_turn(&room);
}

static struct cow_room_stat stat_now(void)
{
	struct cow_room_stat st;

	cow_room_stat(&room, &st);
	return st;
}

/* What is neither in use nor in the reserves. */
static long long besides(void)
{
	return TOTAL - 2 * RESERVE;
}

Test(room, reserves_are_made_at_open_and_found_by_the_next)
{
	struct cow_room second;
	struct cow_room_stat st = stat_now();

	cr_assert_eq(st.map, RESERVE);
	cr_assert_eq(st.data, RESERVE);
	cr_assert_eq(st.state, COW_ROOM_PLENTY);
	cr_assert_geq(size_of("reserve.map"), RESERVE);
	cr_assert_geq(size_of("reserve.data"), RESERVE);
	cow_room_init(&second, dirfd_, false, false);
	cow_room_stat(&second, &st);
	cr_assert_eq(st.map, RESERVE);
	cr_assert_eq(st.data, RESERVE);
	cow_room_release(&second);
}

Test(room, low_refuses_what_can_be_refused_and_nothing_else)
{
	others_use(besides() - HEADROOM - MARK / 2);
	cr_assert_eq(stat_now().state, COW_ROOM_LOW);
	cr_assert_eq(cow_room_take(&room, COW_ROOM_NEW, 0), -ENOSPC);
	cr_assert_eq(cow_room_take(&room, COW_ROOM_DATA, 8192), 0);
	cr_assert_eq(stat_now().data, RESERVE, "the reserve was not needed");
}

Test(room, data_draws_on_its_own_reserve_and_never_on_that_of_the_map)
{
	long long granted = 0;

	others_use(besides() - HEADROOM);
	while (cow_room_take(&room, COW_ROOM_DATA, MIB) == 0) {
		granted += MIB;
		others_use(besides() - HEADROOM + granted); /* what was granted is written */
		cr_assert_leq(granted, 2 * RESERVE);
	}
	cr_assert_eq(granted, RESERVE);
	cr_assert_eq(stat_now().data, 0);
	cr_assert_eq(stat_now().map, RESERVE);
	cr_assert_eq(stat_now().state, COW_ROOM_CRITICAL);
}

Test(room, what_others_take_is_made_up_for_by_the_map_s_reserve)
{
	others_use(besides() - MIB);
	cr_assert_lt(stat_now().map, RESERVE, "the map's headroom is kept");
	cr_assert_eq(stat_now().data, RESERVE);
	/* The map is served first when there is room again. */
	others_use(besides() - HEADROOM - MIB);
	cow_room_tend(&room);
	cr_assert_eq(stat_now().map, RESERVE);
	others_use(0);
	cow_room_tend(&room);
	cr_assert_eq(stat_now().state, COW_ROOM_PLENTY);
}

Test(room, a_reserve_grows_again_when_nobody_waits)
{
	others_use(besides() - HEADROOM);
	cr_assert_eq(cow_room_take(&room, COW_ROOM_DATA, MIB), 0);
	cr_assert_lt(stat_now().data, RESERVE);
	cow_room_hold(&room, true);
	others_use(0);
	cow_room_tend(&room);
	cr_assert_lt(stat_now().data, RESERVE, "what waits goes first");
	cow_room_hold(&room, false);
	cow_room_tend(&room);
	cr_assert_eq(stat_now().data, RESERVE);
	cr_assert_eq(stat_now().state, COW_ROOM_PLENTY);
}

Test(room, who_is_gone_or_finds_the_store_closing_does_not_wait)
{
	_Atomic bool gone = false;

	cr_assert_eq(cow_room_wait(&room, &gone), 0);
	gone = true;
	cr_assert_eq(cow_room_wait(&room, &gone), -ENOSPC);
	cow_room_close(&room);
	gone = false;
	cr_assert_eq(cow_room_wait(&room, &gone), -ENOSPC);
	cr_assert(!cow_room_waits(&room, false));
}

Test(room, a_copied_store_whose_reserves_are_holes_has_none)
{
	struct cow_room second;
	struct cow_room_stat st;

	cr_assert_eq(unlinkat(dirfd_, "reserve.map", 0), 0);
	close(openat(dirfd_, "reserve.map", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	cr_assert_eq(truncate(strcat(dir, "/reserve.map"), RESERVE), 0);
	*strrchr(dir, '/') = '\0';
	cow_room_init(&second, dirfd_, false, false);
	cow_room_stat(&second, &st);
	cr_assert_eq(st.map, 0);
	cow_room_release(&second);
}

Test(room, the_data_reserve_covers_what_a_cache_above_holds_back)
{
	uint64_t most = cow_room_holdback(&room, 4096 * MIB, MIB);

	cr_assert_eq(stat_now().data_whole, RESERVE, "never more than a sixteenth of the host");
	cr_assert(most > 0 && most <= RESERVE, "and so the cache holds back less: %lu", most);
	cr_assert_eq(cow_room_holdback(&room, MIB, MIB), MIB);
}

/* With a cache above: the gate closes first, then everybody else waits, and what the cache has
 * accepted finds room until nothing is left. */
Test(room, the_last_of_the_reserve_is_for_what_a_cache_has_accepted)
{
	long long granted = 0;

	cow_room_holdback(&room, MIB, MIB);
	others_use(besides() - HEADROOM);
	cr_assert_eq(room.gate, COW_GATE_OPEN);
	while (cow_room_take(&room, COW_ROOM_DATA, MIB) == 0) {
		granted += MIB;
		others_use(besides() - HEADROOM + granted);
		cr_assert_eq(room.gate != COW_GATE_OPEN, granted > RESERVE / 2, "after %lld",
			     granted);
	}
	cr_assert_eq(granted, RESERVE / 4 * 3);
	cr_assert_eq(room.gate, COW_GATE_NARROW);
	cr_assert_eq(room.gatings, 1);
	cr_assert_not(cow_room_has(&room, COW_ROOM_DATA, 1));
	cr_assert_not(cow_room_give(&room, COW_ROOM_DATA));
	while (cow_room_take(&room, COW_ROOM_ACCEPTED, MIB) == 0) {
		granted += MIB;
		others_use(besides() - HEADROOM + granted);
		cr_assert_eq(room.gate, COW_GATE_SHUT);
	}
	cr_assert_eq(granted, RESERVE);
	cr_assert_eq(stat_now().map, RESERVE);
	others_use(0);
	cr_assert_eq(room.gate, COW_GATE_OPEN);
}
