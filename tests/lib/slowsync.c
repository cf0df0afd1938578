// SPDX-License-Identifier: Apache-2.0
/* slowsync: a disk whose syncs take long; preloaded into the daemon.
 *
 * While the file $COWFS_TEST_SLOW exists each fdatasync takes two seconds more, on the thread that
 * asks for it. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int fdatasync(int fd)
{
	static int (*real)(int fd);
	const char *path = getenv("COWFS_TEST_SLOW");

	if (!real)
		real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	if (path && access(path, F_OK) == 0)
		nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
	return real(fd);
}
