// SPDX-License-Identifier: Apache-2.0
/* cowfs golden show: the report of an image. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/cli/commands.h"
#include "tools/golden/report.h"

/* The image that the pointer shows. */
static cow_errno present_image(struct command_call *call, const char *name, char *ret, size_t size)
{
	json_t *b = NULL;
	const char *id;
	cow_errno r = command_ask(call, "branch.get", json_pack("{s:s}", "name", name), &b);

	if (r < 0)
		return r;
	id = json_string_value(
	    json_object_get(json_object_get(json_object_get(b, "settings"), "golden"), "image"));
	if (id)
		snprintf(ret, size, "%s", id);
	else
		r = cow_fail(&call->error, -ENOENT, "%s shows no golden image", name);
	json_decref(b);
	return r;
}

static int run(struct command_call *call)
{
	const char *name = command_option(call, "name"), *slash;
	char id[300] = "";
	CLEANUP_FREE char *page = NULL;
	json_t *report = NULL;
	const char *store;
	cow_errno r = command_store(call, &store);

	if (!name)
		name = "golden";
	/* Also the name of its branch. */
	slash = call->argc ? strrchr(call->argv[0], '/') : NULL;
	if (call->argc)
		snprintf(id, sizeof(id), "%s", slash ? slash + 1 : call->argv[0]);
	else if (r == 0)
		r = present_image(call, name, id, sizeof(id));
	if (r == 0)
		r = report_read(store, name, id, &report, &call->error);
	if (r < 0)
		return r;
	if (call->out.format != OUTPUT_TABLE) {
		r = output_print(&call->out, report, &(struct output_spec){.columns = NULL});
	} else {
		page = report_page(report);
		r = page && fputs(page, call->out.out) >= 0 ? 0 : -ENOMEM;
	}
	json_decref(report);
	return r;
}

static const struct command_option options[] = {
    {"name", 0, "NAME", "the pointer branch (default: golden)"},
    {0},
};

const struct command cmd_golden_show = {
    .group = "golden",
    .name = "show",
    .summary = "show what an image was made from and what was checked",
    .usage = "[IMAGE] [--name NAME]",
    .detail = "IMAGE is its id or its branch, 'failed' the last that was refused; without, the "
	      "image that "
	      "new\nbranches are made from. A page in Markdown; -o json for all of it.",
    .example = "cowfs golden show -o json",
    .options = options,
    .max_args = 1,
    .run = run,
};
