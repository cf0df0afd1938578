// SPDX-License-Identifier: Apache-2.0
/* cowfs top: what all branches are doing, again and again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/cli/commands.h"
#include "tools/cli/parse.h"
#include "tools/cli/top.h"

/* Only in the whole executable (whole.h). */
#pragma weak top_screen

#define INTERVAL_MS 2000u
#define ONCE_MS 1000u /* between the two looks that make one round */

static const struct output_column columns[] = {
    {"name", "BRANCH", OUTPUT_TEXT, NULL},          {"current_state", "STATE", OUTPUT_TEXT, NULL},
    {"connections", "CONN", OUTPUT_NUMBER, NULL},   {"tps", "TPS", OUTPUT_NUMBER, NULL},
    {"unique_bytes", "UNIQUE", OUTPUT_BYTES, NULL}, {"parent", "PARENT", OUTPUT_TEXT, NULL},
    {"labels", "LABELS", OUTPUT_LABELS, NULL},      {0},
};
static const struct output_spec spec = {.rows = "branches", .columns = columns};

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
		  NULL);
}

/* For scripts: whole rounds, each as any other result. */
static cow_errno print_rounds(struct top *t, struct command_call *call, unsigned interval_ms,
			      uint64_t rounds)
{
	json_t *look = NULL;
	cow_errno r = top_look(t, call, &look);

	for (uint64_t k = 0; r == 0 && k < rounds; k++) {
		pause_ms(interval_ms);
		json_decref(look);
		look = NULL;
		r = top_look(t, call, &look);
		if (r == 0)
			r = output_print(&call->out, look, &spec);
	}
	json_decref(look);
	return r;
}

static int run(struct command_call *call)
{
	const char *n = command_option(call, "rounds"), *every = command_option(call, "interval");
	bool screen = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) &&
		      call->out.format == OUTPUT_TABLE && !command_option(call, "once");
	uint64_t rounds = screen ? 0 : 1, interval_ms = screen ? INTERVAL_MS : ONCE_MS;
	struct top *t;
	cow_errno r = n ? parse_number(n, 1, 1000000000, &rounds, &call->error) : 0;

	if (r == 0 && every)
		r = parse_duration(every, &interval_ms, &call->error);
	if (r == 0 && (interval_ms < 100 || interval_ms > 3600000))
		return command_usage(call, "--interval takes 100ms to 1h, not '%s'", every);
	if (r < 0)
		return r;
	t = top_new();
	if (!t)
		return cow_fail(&call->error, -ENOMEM, "no memory to look at branches");
	r = screen ? top_screen(t, call, (unsigned)interval_ms, rounds)
		   : print_rounds(t, call, (unsigned)interval_ms, rounds);
	top_free(t);
	return r;
}

static const struct command_option options[] = {
    {"rounds", 'n', "N", "end after N of them (default: no end on a terminal, else 1)"},
    {"once", '1', NULL, "print one round, without taking the terminal"},
    {"interval", 'i', "TIME", "from one look to the next (default: 2s; 1s for --once)"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_top = {
    .name = "top",
    .summary = "watch all branches: state, connections, tps, bytes",
    .usage = "[--once] [-n N] [--interval TIME]",
    .detail =
	"Busiest first. Nothing is woken or kept awake by it. Keys: q ends, arrows and page "
	"keys scroll.\nWithout a terminal, or with -o, it prints rounds as any other command; a "
	"round takes two looks,\none interval apart. UNIQUE is measured for a second at most; "
	"a branch that was not measured shows -.",
    .example = "cowfs top\n"
	       "cowfs top --once -o json",
    .options = options,
    .whole = true,
    .run = run,
};
