// SPDX-License-Identifier: Apache-2.0
/* cowfs verify: exit status 8 when there are faults. */
#include "tools/cli/commands.h"

#include <errno.h>
#include <stdio.h>

#include "tools/pg/pgrelation.h"

static const struct output_column fault[] = {
    {"branch", "BRANCH", OUTPUT_TEXT, NULL}, {"path", "PATH", OUTPUT_TEXT, NULL},
    {"block", "BLOCK", OUTPUT_NUMBER, NULL}, {"relation", "RELATION", OUTPUT_TEXT, NULL},
    {"what", "FAULT", OUTPUT_TEXT, NULL},    {0},
};
static const struct output_spec faults_spec = {.rows = "faults", .columns = fault};

static const struct output_column sums[] = {
    {"branches", "Branches", OUTPUT_NUMBER, NULL},
    {"files", "Files", OUTPUT_NUMBER, NULL},
    {"sums_checked", "Sums checked", OUTPUT_NUMBER, NULL},
    {"sums_missing", "Sums made", OUTPUT_NUMBER, NULL},
    {"fault_count", "Faults", OUTPUT_NUMBER, NULL},
    {"repaired", "Repaired", OUTPUT_NUMBER, NULL},
    {"leaked_bytes", "Garbage", OUTPUT_BYTES, NULL},
    {0},
};
static const struct output_spec sums_spec = {.columns = sums};

static json_t *verify_args(const struct command_call *call)
{
	json_t *names = json_array();

	for (int k = 0; k < call->argc; k++)
		json_array_append_new(names, json_string(call->argv[k]));
	return json_pack("{s:o,s:b}", "branches", names, "repair",
			 command_option(call, "repair") != NULL);
}

/* To each fault in a file of a relation: which one. */
static void name_relations(struct command_call *call, json_t *faults)
{
	struct pgrelation_names names = {0};
	json_t *f;
	size_t k;

	json_array_foreach (faults, k, f) {
		const json_t *block = json_object_get(f, "block");
		const char *branch = json_string_value(json_object_get(f, "branch"));
		const char *path = json_string_value(json_object_get(f, "path"));
		struct pgrelation r;
		char name[sizeof(names.name)], text[sizeof(names.name) + 64];
		uint64_t at =
		    json_is_integer(block) ? (uint64_t)json_integer_value(block) : UINT64_MAX;

		json_object_set_new(f, "relation", json_null());
		if (!branch || !path || !pgrelation_of(path, at, &r))
			continue;
		pgrelation_name(call, &names, branch, &r, name, sizeof(name));
		pgrelation_text(&r, name, text, sizeof(text));
		json_object_set_new(f, "relation", json_string(text));
	}
}

static int verdict(struct command_call *call, const json_t *result)
{
	long long faults = json_integer_value(json_object_get(result, "fault_count"));
	long long repaired = json_integer_value(json_object_get(result, "repaired"));

	if (faults <= repaired)
		return 0;
	cow_fail(&call->error, -EBADMSG, "%lld fault(s) found", faults - repaired);
	return cow_hint(&call->error, -EBADMSG,
			"Branches without a fault of their own can still be used. --repair drops "
			"what is garbage.");
}

static int run(struct command_call *call)
{
	json_t *result = NULL;
	int r = command_ask(call, "verify", verify_args(call), &result);

	if (r == 0) {
		name_relations(call, json_object_get(result, "faults"));
		r = output_print(&call->out, result, &faults_spec);
	}
	if (r == 0 && !call->out.quiet && call->out.format == OUTPUT_TABLE)
		r = output_print(&call->out, result, &sums_spec);
	if (r == 0)
		r = verdict(call, result);
	json_decref(result);
	return r;
}

static const struct command_option options[] = {
    {"repair", 0, NULL, "drop what is provably garbage; never touches data that is in use"},
    {0},
};

const struct command cmd_verify = {
    .name = "verify",
    .summary = "check branches, or the whole store, against the stored sums",
    .usage = "[BRANCH...] [--repair]",
    .detail =
	"Reports every fault, and ends with status 8 when there is one. Of a fault in a file of "
	"a relation it says which one, with the block in it: by name while the branch's server "
	"runs, by file node and database oid otherwise. Garbage is space that nothing needs: no "
	"fault, gc frees it.",
    .example = "cowfs verify main",
    .options = options,
    .max_args = -1,
    .operands = "branch",
    .run = run,
};
