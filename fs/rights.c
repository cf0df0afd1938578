// SPDX-License-Identifier: Apache-2.0
#include "fs/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/log.h"

#define BIT(cap) (UINT64_C(1) << (cap))
/* What an import needs of files that belong to others: read and rename them, make them its own, and
 * see whether their shared memory is still in use. */
#define FOR_IMPORT (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_IPC_OWNER))

struct caps {
	uint64_t effective, permitted;
};

/* glibc has no call for these two. Of the calling thread. */
static int caps_get(struct caps *ret)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &head, d) < 0)
		return -errno;
	ret->effective = d[0].effective | (uint64_t)d[1].effective << 32;
	ret->permitted = d[0].permitted | (uint64_t)d[1].permitted << 32;
	return 0;
}

static int caps_set(const struct caps *c)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct d[2] = {
	    {.effective = (uint32_t)c->effective, .permitted = (uint32_t)c->permitted},
	    {.effective = (uint32_t)(c->effective >> 32),
	     .permitted = (uint32_t)(c->permitted >> 32)},
	};

	return syscall(SYS_capset, &head, d) < 0 ? -errno : 0;
}

static bool is_reachable(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0;
}

void cow_rights_lower(const char *path)
{
	struct caps had, c;
	int r = caps_get(&had);

	if (r == 0) {
		c = (struct caps){.permitted = had.permitted & FOR_IMPORT};
		r = caps_set(&c);
	}
	if (r == 0 && (c.permitted & BIT(CAP_DAC_OVERRIDE)) && !is_reachable(path)) {
		/* Root's store below a directory of somebody else. */
		c.effective = BIT(CAP_DAC_OVERRIDE);
		r = caps_set(&c);
		cow_log_warn(
		    "%s is reachable only for root as root: CAP_DAC_OVERRIDE stays in force", path);
	}
	if (r < 0)
		cow_log_warn("capabilities cannot be lowered: %s", strerror(-r));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		cow_log_warn("prctl: %s", strerror(errno));
}

struct lowered {
	const char *path;
	void (*fn)(void *arg);
	void *arg;
};

static void *run(void *arg)
{
	struct lowered *l = arg;

	cow_rights_lower(l->path);
	l->fn(l->arg);
	return NULL;
}

int cow_rights_run_lowered(const char *path, void (*fn)(void *arg), void *arg)
{
	struct lowered l = {path, fn, arg};
	pthread_t thread;
	int r = pthread_create(&thread, NULL, run, &l);

	if (r == 0)
		pthread_join(thread, NULL);
	return -r;
}

uint64_t cow_rights_borrow(void)
{
	struct caps had, c;

	if (caps_get(&had) < 0)
		return 0;
	c = (struct caps){.effective = had.effective | (had.permitted & FOR_IMPORT),
			  .permitted = had.permitted};
	caps_set(&c);
	return had.effective;
}

void cow_rights_return(uint64_t before)
{
	struct caps had, c;

	if (caps_get(&had) < 0)
		return;
	c = (struct caps){.effective = before, .permitted = had.permitted};
	if (caps_set(&c) < 0)
		cow_log_warn("capabilities cannot be given back: %s", strerror(errno));
}
