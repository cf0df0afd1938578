// SPDX-License-Identifier: Apache-2.0
/* cowfs status: with and without a daemon. */
#include "tools/cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "tools/serve/client.h"

static const struct output_column columns[] = {
    {"store", "Store", OUTPUT_TEXT, NULL},
    {"version", "Version", OUTPUT_TEXT, NULL},
    {"mounted", "Mounted", OUTPUT_BOOL, NULL},
    {"mountpoint", "Mount point", OUTPUT_TEXT, NULL},
    {"pid", "Daemon", OUTPUT_NUMBER, NULL},
    {"started_at", "Started", OUTPUT_AGE, NULL},
    {"transport", "Transport", OUTPUT_TEXT, NULL},
    {"libfuse", "libfuse", OUTPUT_TEXT, NULL},
    {"branches", "Branches", OUTPUT_NUMBER, NULL},
    {"deleted_branches", "Deleted branches kept", OUTPUT_NUMBER, NULL},
    {"snapshots", "Snapshots", OUTPUT_NUMBER, NULL},
    {"image_source_at", "Golden image", OUTPUT_AGE, NULL},
    {"lineages", "Lineages", OUTPUT_NUMBER, NULL},
    {"open_files", "Open files", OUTPUT_NUMBER, NULL},
    {"host_free_bytes", "Host free", OUTPUT_BYTES, NULL},
    {"host_total_bytes", "Host total", OUTPUT_BYTES, NULL},
    {"memory_bytes", "Memory", OUTPUT_BYTES, NULL},
    {"cached_bytes", "Cache", OUTPUT_BYTES, NULL},
    {"open_extents", "Open extent files", OUTPUT_NUMBER, NULL},
    {"commits", "Commits", OUTPUT_NUMBER, NULL},
    {"gc_pending", "Waiting for gc", OUTPUT_NUMBER, NULL},
    {"room", "Room", OUTPUT_TEXT, NULL},
    {"waiting_for_room", "Waiting for room", OUTPUT_NUMBER, NULL},
    {"reserve_map_bytes", "Reserve of the map", OUTPUT_BYTES, NULL},
    {"reserve_data_bytes", "Reserve of data", OUTPUT_BYTES, NULL},
    {"map_failed", "Map failed", OUTPUT_BOOL, NULL},
    {"recovered", "Recovered", OUTPUT_BOOL, NULL},
    {"nodes", "Nodes", OUTPUT_NUMBER, NULL},
    {"servers_running", "Servers behind serve", OUTPUT_NUMBER, NULL},
    {"servers_failed", "Branches that failed", OUTPUT_LABELS, NULL},
    {"not_steered", "Ports relayed because", OUTPUT_TEXT, NULL},
    {0},
};
static const struct output_spec spec = {.columns = columns};

static void print_requests(const struct command_call *call, const json_t *result)
{
	json_t *requests = json_object_get(result, "requests"), *v;
	const char *name;

	if (json_object_size(requests) == 0)
		return;
	fputs("Requests", call->out.out);
	json_object_foreach (requests, name, v)
		fprintf(call->out.out, " %s=%" JSON_INTEGER_FORMAT, name, json_integer_value(v));
	fputc('\n', call->out.out);
}

/* What serve knows: its settings, how many servers run, who failed or crashed and why. */
static void add_serve(const struct command_call *call, json_t *result)
{
	json_t *status = NULL, *branches, *v, *failed = json_array(), *troubles = json_object();
	const char *name, *state;
	json_int_t running = 0;

	if (serve_runs(call->store))
		serve_call(call->store, "status", NULL, &status, NULL);
	branches = json_object_get(status, "branches");
	json_object_foreach (branches, name, v) {
		state = json_string_value(json_object_get(v, "current_state"));
		running += json_is_integer(json_object_get(v, "pid"));
		if (strcmp(state, "failed") == 0)
			json_array_append_new(failed, json_string(name));
		if (json_is_string(json_object_get(v, "reason")))
			json_object_set(troubles, name, json_object_get(v, "reason"));
	}
	if (status) {
		json_object_set_new(result, "servers_running", json_integer(running));
		json_object_set(result, "servers_failed", failed);
		json_object_set(result, "troubles", troubles);
		json_object_set(result, "serve", json_object_get(status, "settings"));
		json_object_set(result, "not_steered", json_object_get(status, "not_steered"));
	}
	json_decref(failed);
	json_decref(troubles);
	json_decref(status);
}

static void print_troubles(const struct command_call *call, const json_t *result)
{
	json_t *troubles = json_object_get(result, "troubles"), *v;
	const char *name;

	json_object_foreach (troubles, name, v)
		fprintf(call->out.out, "%s: %s\n", name, json_string_value(v));
}

static int run(struct command_call *call)
{
	json_t *result = NULL;
	int r = command_ask(call, "status", NULL, &result);

	if (r == 0)
		add_serve(call, result);
	if (r == 0)
		r = output_print(&call->out, result, &spec);
	if (r == 0 && call->out.format == OUTPUT_TABLE && !call->out.quiet)
		print_requests(call, result);
	if (r == 0 && call->out.format == OUTPUT_TABLE && !call->out.quiet)
		print_troubles(call, result);
	json_decref(result);
	return r;
}

const struct command cmd_status = {
    .name = "status",
    .summary = "the store, its mount, its space, and what the daemon has served",
    .usage = "",
    .example = "cowfs --store /var/lib/cowfs status -o json",
    .run = run,
};
