// SPDX-License-Identifier: Apache-2.0
/* cowfs golden refresh: from the source to a new image. */
#include "tools/cli/commands.h"
#include "tools/cli/golden_option.h"
#include "tools/golden/refresh.h"

/* Only in the whole executable (whole.h). */
#pragma weak golden_refresh

static const struct output_column refreshed[] = {
    {"image", "Image", OUTPUT_TEXT, NULL},         {"source", "Source", OUTPUT_TEXT, NULL},
    {"source_at", "Data as of", OUTPUT_AGE, NULL}, {"rules_hash", "Rules", OUTPUT_TEXT, NULL},
    {"seconds", "Seconds", OUTPUT_NUMBER, NULL},   {0},
};
static const struct output_spec refreshed_spec = {.columns = refreshed};

static int refresh_run(struct command_call *call)
{
	struct golden_conf *conf = NULL;
	json_t *report = NULL;
	const char *store;
	cow_errno r = command_store(call, &store);

	if (r == 0)
		r = golden_conf_of(call, &conf);
	if (r == 0)
		r = golden_refresh(call, conf, &report, &call->error);
	if (r == 0)
		r = output_print(&call->out, report, &refreshed_spec);
	json_decref(report);
	golden_conf_free(conf);
	return r;
}

static const struct command_option config_options[] = {
    OPTION_CONFIG,
    {0},
};

const struct command cmd_golden_refresh = {
    .group = "golden",
    .name = "refresh",
    .summary = "fetch the source, mask it, prove it, and move the image to it",
    .usage = "[--config FILE]",
    .detail = "For cron, a systemd timer (cowfs-golden@.timer), or by cowfs serve (refresh in "
	      "golden.conf). "
	      "On\nany failure the image stays what it was. What was fetched is deleted, and its "
	      "space given "
	      "back,\nwhatever happens; what a killed refresh left, by the next one.",
    .example = "cowfs golden refresh",
    .options = config_options,
    .whole = true,
    .run = refresh_run,
};
