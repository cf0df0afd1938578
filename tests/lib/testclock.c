// SPDX-License-Identifier: Apache-2.0
/* testclock: a wall clock that a test moves; preloaded into what is tested.
 *
 * CLOCK_REALTIME is the real one plus the seconds that stand in the file $COWFS_TEST_CLOCK (an
 * int64_t of this machine), looked at on every call: whoever writes the file moves the clock of all
 * processes at once. Other clocks are real, so that time-outs take the time they take. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset(void)
{
	static const int64_t zero;
	static const volatile int64_t *at;
	const char *path;
	void *map;
	int fd;

	if (at)
		return at;
	path = getenv("COWFS_TEST_CLOCK");
	fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*at), PROT_READ, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	return at = map == MAP_FAILED ? &zero : map;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	static int (*real)(clockid_t, struct timespec *);
	int r;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	r = real(clock, ret);
	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ret->tv_sec += *offset();
	return r;
}
