// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/opening.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TRY_EVERY_MS 10

cow_errno opening_wait(const char *path, const struct cow_store_options *o, unsigned wait_ms,
		       struct cow_store **ret, struct cow_error *e)
{
	const struct timespec pause = {.tv_nsec = TRY_EVERY_MS * 1000000};

	for (unsigned waited = 0;; waited += TRY_EVERY_MS) {
		cow_errno r = cow_store_open(path, o, ret, e);

		if (r != -EBUSY || waited >= wait_ms)
			return r;
		nanosleep(&pause, NULL);
	}
}

cow_errno opening_become_owner(const char *path, struct opening_identity *ret, struct cow_error *e)
{
	struct stat st;

	*ret = (struct opening_identity){.uid = geteuid(), .gid = getegid()};
	if (ret->uid != 0 || stat(path, &st) < 0 || st.st_uid == 0)
		return 0;
	if (setegid(st.st_gid) < 0 || seteuid(st.st_uid) < 0)
		return cow_fail(e, -errno, "cannot act as the owner of %s: %s", path,
				strerror(errno));
	ret->changed = true;
	return 0;
}

void opening_become_self(const struct opening_identity *id)
{
	if (!id->changed)
		return;
	/* Going back to what the process was started as cannot be refused. */
	if (seteuid(id->uid) < 0 || setegid(id->gid) < 0)
		_exit(126);
}

cow_errno opening_check_owner(const char *path, struct cow_error *e)
{
	struct passwd *owner;
	struct stat st;

	if (geteuid() != 0 || stat(path, &st) < 0 || st.st_uid == 0)
		return 0;
	owner = getpwuid(st.st_uid);
	cow_fail(e, -EPERM, "the store %s belongs to %s, not to root", path,
		 owner ? owner->pw_name : "another user");
	return cow_hint(e, -EPERM, "Mount it as that user, or give it to root with chown -R.");
}
