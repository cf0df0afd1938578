// SPDX-License-Identifier: Apache-2.0
/* cowfs init: make an empty store. */
#include "tools/cli/commands.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "tools/daemon/json_text.h"

static const struct output_column columns[] = {
    {"store", "Store", OUTPUT_TEXT, "COWFS_STORE"},
    {0},
};
static const struct output_spec spec = {.columns = columns};

static int run(struct command_call *call)
{
	const char *where = call->argc ? call->argv[0] : call->store;
	char path[PATH_MAX];
	json_t *result;
	int r;

	if (!where)
		return command_usage(call, "missing operand: STORE");
	umask(077); /* RocksDB leaves the modes of its files to it */
	r = cow_store_create(where, &call->error);
	if (r == -EEXIST)
		cow_hint(&call->error, r, "Use it as it is, or name another directory.");
	if (r < 0)
		return r;
	result = json_pack("{s:o}", "store", json_text(realpath(where, path) ? path : where));
	r = output_print(&call->out, result, &spec);
	json_decref(result);
	return r;
}

const struct command cmd_init = {
    .name = "init",
    .summary = "make an empty store",
    .usage = "STORE",
    .detail = "STORE is a directory that does not exist yet or is empty. It will hold "
	      "everything:\nthe map of branches and the data. Put it on ext4, xfs or btrfs.",
    .example = "cowfs init /var/lib/cowfs",
    .max_args = 1,
    .operands = "dir",
    .run = run,
};
