// SPDX-License-Identifier: Apache-2.0
/* cowfs wake, cowfs suspend: what cowfs serve does by itself, now. */
#include <errno.h>
#include <string.h>

#include "tools/cli/commands.h"
#include "tools/serve/client.h"

static const struct output_column columns[] = {
    {"branch", "Branch", OUTPUT_TEXT, "COWFS_BRANCH"},
    {"current_state", "State", OUTPUT_TEXT, NULL},
    {"clients", "Clients", OUTPUT_NUMBER, NULL},
    {"port", "Port", OUTPUT_NUMBER, NULL},
    {"pid", "Process", OUTPUT_NUMBER, NULL},
    {NULL, NULL, 0, NULL},
};
static const struct output_spec spec = {.columns = columns};

static int ask(struct command_call *call, const char *verb)
{
	json_t *result = NULL;
	const char *store;
	cow_errno r = command_store(call, &store);

	if (r == 0)
		r = serve_call(store, verb, json_pack("{s:s}", "name", call->argv[0]), &result,
			       &call->error);
	if (r == 0)
		r = output_print(&call->out, result, &spec);
	json_decref(result);
	return r;
}

static int run_wake(struct command_call *call)
{
	return ask(call, "wake");
}

const struct command cmd_wake = {
    .name = "wake",
    .summary = "start the server of a branch behind cowfs serve",
    .usage = "[BRANCH]",
    .detail = "Returns when it takes connections. A branch that failed is tried again.",
    .example = "cowfs wake feature/add-orgs",
    .max_args = 1,
    .operands = "branch",
    .pins = true,
    .run = run_wake,
};

static int run_suspend(struct command_call *call)
{
	return ask(call, "suspend");
}

const struct command cmd_suspend = {
    .name = "suspend",
    .summary = "put a branch to sleep; the next client wakes it",
    .usage = "[BRANCH]",
    .detail = "Its clients are disconnected. To keep it down until you say otherwise: cowfs stop.",
    .example = "cowfs suspend feature/add-orgs",
    .max_args = 1,
    .operands = "branch",
    .pins = true,
    .run = run_suspend,
};
