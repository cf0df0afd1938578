// SPDX-License-Identifier: Apache-2.0
/* cowfs golden init, check: the configuration of the golden image and its rules. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/cli/commands.h"
#include "tools/golden/golden.h"
#include "tools/golden/init.h"
#include "tools/golden/rules.h"

/* --- init --- */

static const struct output_column made[] = {
    {"config", "Configuration", OUTPUT_TEXT, NULL},
    {"rules", "Rules", OUTPUT_TEXT, NULL},
    {"registered", "Known to the store", OUTPUT_BOOL, NULL},
    {0},
};
static const struct output_spec made_spec = {.columns = made};

static int init_run(struct command_call *call)
{
	char real[PATH_MAX], conf[PATH_MAX + 16];
	bool noted = false;
	json_t *result;
	cow_errno r = golden_init(call->argv[0], &call->error);

	if (r < 0)
		return r;
	if (!realpath(call->argv[0], real))
		return cow_fail(&call->error, -errno, "cannot find %s: %s", call->argv[0],
				strerror(errno));
	snprintf(conf, sizeof(conf), "%s/golden.conf", real);
	if (call->store && *call->store)
		r = golden_init_register(call->store, conf, &noted, &call->error);
	if (r < 0)
		return r;
	result = json_pack("{s:s,s:s+,s:b}", "config", conf, "rules", real, "/rules", "registered",
			   noted);
	r = output_print(&call->out, result, &made_spec);
	json_decref(result);
	if (r == 0 && call->out.format == OUTPUT_TABLE)
		fputs("Say in golden.conf where production is, then list its columns with: cowfs "
		      "golden check\n",
		      stderr);
	return r;
}

const struct command cmd_golden_init = {
    .group = "golden",
    .name = "init",
    .summary = "write a commented golden.conf and a folder of rules",
    .usage = "DIR",
    .detail = "Both belong under version control; neither holds a secret. With a store given, it "
	      "remembers\nwhere they are (section [golden] of its cowfs.conf).",
    .example = "cowfs golden init /etc/cowfs/golden",
    .min_args = 1,
    .max_args = 1,
    .operands = "dir",
    .run = init_run,
};

/* --- check --- */

static cow_errno load_conf(struct command_call *call, struct golden_conf **ret)
{
	const char *given = command_option(call, "config"), *store;
	CLEANUP_FREE char *found = NULL;
	cow_errno r = 0;

	if (!given) {
		r = command_store(call, &store);
		if (r == 0)
			r = golden_init_find(store, &found, &call->error);
	}
	return r < 0 ? r : golden_conf_load(given ? given : found, ret, &call->error);
}

static const struct output_column checked[] = {
    {"config", "Configuration", OUTPUT_TEXT, NULL},
    {"rules", "Rules", OUTPUT_NUMBER, NULL},
    {"rules_hash", "Hash", OUTPUT_TEXT, NULL},
    {0},
};
static const struct output_spec checked_spec = {.columns = checked};

static int check_run(struct command_call *call)
{
	struct golden_conf *conf = NULL;
	struct golden_rules rules = {0};
	json_t *result = NULL;
	cow_errno r = load_conf(call, &conf);

	if (r == 0)
		r = golden_rules_load(conf->rules, &rules, &call->error);
	if (r == 0) {
		result = json_pack("{s:s,s:i,s:s}", "config", conf->path, "rules", (int)rules.n,
				   "rules_hash", rules.hash);
		r = output_print(&call->out, result, &checked_spec);
	}
	json_decref(result);
	golden_rules_release(&rules);
	golden_conf_free(conf);
	return r;
}

static const struct command_option check_options[] = {
    {"config", 'c', "FILE", "golden.conf, or its directory (default: the store's)"},
    {0},
};

const struct command cmd_golden_check = {
    .group = "golden",
    .name = "check",
    .summary = "check golden.conf and the rules",
    .usage = "[--config FILE]",
    .example = "cowfs golden check --config /etc/cowfs/golden",
    .options = check_options,
    .run = check_run,
};
