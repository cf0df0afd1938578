// SPDX-License-Identifier: Apache-2.0
/* transport: the choice, and what differs between the two.
 *
 * Over io_uring a request is handled on the thread of its core, and an answer to a read is made in
 * place in the ring's own memory. The classic loop has a pool of threads that read /dev/fuse. */
#include "fs/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/log.h"

enum { THREADS = 64, PAGE = 4096 };

/* Requests of one core that can be under way. A write that waits on a full disk keeps its slot, so
 * there are more than a busy day needs; one that was never used is address space, no memory. Those
 * that were used hold COW_REQUEST_MAX each: 16 MiB a core, 256 MiB at most. */
enum { SLOTS_MOST = 64, SLOTS_LEAST = 16, SLOTS_OF_ALL = 1024 };
/* Of them, those that the kernel's own requests (write-back, read-ahead) never take. */
enum { SLOTS_KEPT = 4 /* one of so many */ };

enum { CLASSIC_BACKGROUND = 8192 };

static unsigned slots(void)
{
	long cores = sysconf(_SC_NPROCESSORS_CONF);
	long each = SLOTS_OF_ALL / COW_MAX(cores, 1L);

	each = COW_MAX(each, (long)SLOTS_LEAST);
	return (unsigned)COW_MIN(each, (long)SLOTS_MOST);
}

#define PARAMETER "/sys/module/fuse/parameters/enable_uring"

#ifdef COWFS_URING

static bool parameter_is_on(void)
{
	CLEANUP_FD int fd = open(PARAMETER, O_RDONLY | O_CLOEXEC);
	char c = 'N';

	return fd >= 0 && read(fd, &c, 1) == 1 && c == 'Y';
}

/* NULL, or why io_uring cannot be used. */
static const char *why_not(void)
{
	CLEANUP_FD int fd = -1;

	if (access(PARAMETER, F_OK) < 0)
		return "the kernel has no FUSE over io_uring (6.14 or newer has)";
	if (parameter_is_on())
		return NULL;
	fd = open(PARAMETER, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "Y\n", 2) != 2 || !parameter_is_on())
		return PARAMETER " is N and cannot be changed by this user";
	cow_log_info("FUSE over io_uring was off in the kernel: switched on (" PARAMETER ")");
	return NULL;
}

#else

static const char *why_not(void)
{
	return "this cowfs is built with a libfuse that cannot (see COWFS_FUSE)";
}

#endif

cow_errno cow_transport_choose(enum cow_transport asked, enum cow_transport *ret,
			       struct cow_error *e)
{
	const char *why = asked == COW_TRANSPORT_CLASSIC ? "" : why_not();

	if (why && asked == COW_TRANSPORT_URING) {
		cow_fail(e, -ENOTSUP, "no FUSE over io_uring: %s", why);
		return cow_hint(e, -ENOTSUP,
				"Use the classic transport, or `echo Y > " PARAMETER "` as root.");
	}
	if (why && *why)
		cow_log_info("classic transport: %s", why);
	*ret = why ? COW_TRANSPORT_CLASSIC : COW_TRANSPORT_URING;
	return 0;
}

void cow_transport_options(const struct cow_mount *m, char *ret, size_t size)
{
	*ret = '\0';
	if (m->transport == COW_TRANSPORT_URING)
		snprintf(ret, size, ",io_uring,io_uring_q_depth=%u", slots());
}

unsigned cow_transport_background(const struct cow_mount *m)
{
	return m->transport == COW_TRANSPORT_URING ? slots() - slots() / SLOTS_KEPT
						   : CLASSIC_BACKGROUND;
}

#ifdef COWFS_URING

void cow_transport_note(struct cow_mount *m, fuse_req_t req)
{
	m->transport = fuse_req_is_uring(req) ? COW_TRANSPORT_URING : COW_TRANSPORT_CLASSIC;
}

/* The answer's place in the ring, if there is one. */
static char *payload_of(fuse_req_t req, size_t size)
{
	char *payload;
	size_t room;

	return fuse_req_is_uring(req) && fuse_req_get_payload(req, &payload, &room, NULL) == 0 &&
		       size <= room
		   ? payload
		   : NULL;
}

#else

void cow_transport_note(struct cow_mount *m, fuse_req_t req)
{
}

static char *payload_of(fuse_req_t req, size_t size)
{
	return NULL;
}

#endif

cow_errno cow_transport_read_buffer(struct cow_mount *m, fuse_req_t req, size_t size, char **ret)
{
	void *buf = payload_of(req, size);

	if (!buf)
		buf = pthread_getspecific(m->scratch);
	if (!buf) {
		buf = aligned_alloc(PAGE, COW_REQUEST_MAX);
		if (!buf)
			return -ENOMEM;
		pthread_setspecific(m->scratch, buf);
	}
	*ret = buf;
	return 0;
}

bool cow_transport_is_shared(struct cow_mount *m)
{
	return m->transport == COW_TRANSPORT_URING;
}

cow_errno cow_transport_loop(struct cow_mount *m)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	unsigned threads = m->threads ? m->threads : THREADS;
	int r;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, threads);
	fuse_loop_cfg_set_idle_threads(config, threads);
	r = fuse_session_loop_mt(m->se, config);
	fuse_loop_cfg_destroy(config);
	return r < 0 ? r : 0;
}
