// SPDX-License-Identifier: Apache-2.0
/* mask_run: deciding and masking alone, on the databases of a server that a test started.
 *
 *   mask_run decide|mask CONF SOCKET_DIR PORT USER
 *
 * Prints the problems as JSON, or, after masking, the report. Exit status 1 with the reason on
 * stderr. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/golden/columns.h"
#include "tools/golden/mask.h"

static cow_errno decide(struct golden_run *run, bool mask, struct cow_error *e)
{
	const struct pg_address at = golden_address(&run->masked, NULL);
	struct golden_rules rules = {0};
	json_t *problems = NULL, *notes = NULL;
	cow_errno r = golden_rules_load(run->conf->rules, &rules, e);

	if (r == 0)
		r = golden_inventory(run->conf, &at, &rules, &run->databases, &run->n_databases, e);
	if (r == 0)
		r = golden_decide(run->conf, &rules, run->databases, run->n_databases, &problems,
				  &notes, e);
	if (r == 0)
		r = golden_suggest(&at, problems, e);
	if (r == 0 && !mask)
		json_dumpf(problems, stdout, JSON_INDENT(1) | JSON_SORT_KEYS);
	else if (r == 0 && json_array_size(problems) > 0)
		r = golden_refuse(problems, e);
	golden_rules_release(&rules);
	json_decref(problems);
	json_decref(notes);
	return r;
}

int main(int argc, char **argv)
{
	struct command_call call = {.store = ".", .out = {.out = stdout, .quiet = true}};
	struct golden_conf *conf = NULL;
	struct golden_run run = {.call = &call, .store = ".", .report = json_object()};
	struct cow_error e = COW_ERROR_INIT;
	bool mask = argc > 1 && strcmp(argv[1], "mask") == 0;
	cow_errno r;

	if (argc != 6)
		return 64;
	r = golden_conf_load(argv[2], &conf, &e);
	run.conf = conf;
	snprintf(run.masked.branch.socket_dir, sizeof(run.masked.branch.socket_dir), "%s", argv[3]);
	run.masked.branch.port = (int)strtol(argv[4], NULL, 10);
	snprintf(run.masked.branch.user, sizeof(run.masked.branch.user), "%s", argv[5]);
	if (r == 0)
		r = decide(&run, mask, &e);
	if (r == 0 && mask)
		r = golden_mask(&run, &e);
	if (r == 0 && mask)
		json_dumpf(run.report, stdout, JSON_INDENT(1));
	golden_databases_free(run.databases, run.n_databases);
	json_decref(run.report);
	golden_conf_free(conf);
	if (r < 0)
		fprintf(stderr, "%s\n", e.text);
	return r < 0;
}
