// SPDX-License-Identifier: Apache-2.0
/* cowfs help: the same help as --help, and the manual of all commands. */
#include "tools/cli/commands.h"

#include <string.h>

#include "tools/cli/command_parts.h"

static int run(struct command_call *call)
{
	if (command_option(call, "markdown")) {
		command_help_markdown(stdout);
		return 0;
	}
	if (command_option(call, "exit-status")) {
		command_help_exit(stdout);
		return 0;
	}
	if (command_option(call, "man"))
		return command_help_man(command_option(call, "man"), &call->error);
	if (call->argc == 0) {
		command_help_root(stdout);
		return 0;
	}
	for (const struct command *const *c = command_table; *c; c++) {
		const char *first = (*c)->group ? (*c)->group : (*c)->name;

		if (strcmp(first, call->argv[0]) != 0)
			continue;
		if ((*c)->group && call->argc == 1) {
			command_help_group(stdout, first);
			return 0;
		}
		if (!(*c)->group || strcmp((*c)->name, call->argv[1]) == 0) {
			command_help_one(stdout, *c);
			return 0;
		}
	}
	return command_usage(call, "there is no help on '%s%s%s'", call->argv[0],
			     call->argc > 1 ? " " : "", call->argc > 1 ? call->argv[1] : "");
}

static const struct command_option options[] = {
    {"markdown", 0, NULL, "the whole manual, in Markdown"},
    {"exit-status", 0, NULL, "what the exit statuses mean"},
    {"man", 0, "DIR", "write it as man pages into DIR: cowfs.1, and one for every command"},
    {0},
};

const struct command cmd_help = {
    .name = "help",
    .summary = "show help on a command, or the whole manual",
    .usage = "[COMMAND [VERB]] [--exit-status] [--markdown] [--man DIR]",
    .example = "cowfs help branch create",
    .options = options,
    .max_args = 2,
    .operands = "command",
    .run = run,
    .run_remote = run,
};
