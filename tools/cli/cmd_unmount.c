// SPDX-License-Identifier: Apache-2.0
/* cowfs unmount: end the mount and its daemon, unless something still uses it.
 *
 * From the mount point to the store: a cowfs mount names its store as its source in
 * /proc/self/mountinfo, so no path call on a mount that may hang is needed. */
#include "tools/cli/commands.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/daemon/client.h"
#include "tools/daemon/mountinfo.h"

static const struct output_column columns[] = {
    {"mountpoint", "Unmounted", OUTPUT_TEXT, NULL},
    {0},
};
static const struct output_spec spec = {.columns = columns};

/* A mount without a daemon behind it can only be taken away. */
static int clear_dead(struct command_call *call, const char *mountpoint, const char *store)
{
	cow_errno r = mountinfo_detach(mountpoint);

	if (r < 0) {
		cow_fail(&call->error, r, "cannot unmount %s: %s", mountpoint, strerror(-r));
		return cow_hint(&call->error, r, "Try: fusermount3 -uz %s", mountpoint);
	}
	if (access(store, F_OK) < 0)
		fprintf(stderr, "cowfs: the store %s is not there any more; the mount is removed\n",
			store);
	else
		fprintf(stderr, "cowfs: the daemon was gone already; the dead mount is removed\n");
	return 0;
}

static int run(struct command_call *call)
{
	bool force = command_option(call, "force");
	char mountpoint[PATH_MAX], store[PATH_MAX];
	const char *given = NULL;
	json_t *result;
	int r = mountinfo_find(call->argv[0], mountpoint, store, &call->error);

	if (r == 0 && store[0] != '/') /* mounted by hand, under another source */
		r = command_store(call, &given);
	if (r < 0)
		return r;
	r = client_call_daemon(given ? given : store, "shutdown",
			       json_pack("{s:b}", "force", (int)force), NULL, &call->error);
	if (r == -ENOTCONN)
		r = clear_dead(call, mountpoint, given ? given : store);
	if (r < 0)
		return r;
	result = json_pack("{s:s,s:s}", "mountpoint", mountpoint, "store", store);
	r = output_print(&call->out, result, &spec);
	json_decref(result);
	return r;
}

static const struct command_option options[] = {
    {"force", 0, NULL, "even when files are open: their users get errors"},
    {0},
};

const struct command cmd_unmount = {
    .name = "unmount",
    .aliases = "umount",
    .summary = "end a mount and its daemon; everything is on the disk afterwards",
    .usage = "MOUNTPOINT [--force]",
    .example = "cowfs unmount /mnt/cowfs",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .operands = "dir",
    .run = run,
};
