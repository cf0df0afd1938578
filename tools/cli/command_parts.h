// SPDX-License-Identifier: Apache-2.0
/* command_parts: what the files command*.c share; nobody else includes it. */
#pragma once
#include "tools/cli/command.h"
#include "tools/cli/commands.h"

struct command_value {
	const char *name;  /* of the option; borrowed from its table */
	const char *value; /* borrowed from argv; "" for a flag */
};

struct command_set {
	size_t n, cap;
	struct command_value *values;
};

/* The options that every command has; ends with name NULL. */
extern const struct command_option command_global_options[];

/* --- command.c --- */

/* By name or alias; NULL = none. `group` NULL = commands of their own. */
const struct command_group *command_find_group(const char *word);
const struct command *command_find(const char *group, const char *word);

/* --- command_parse.c --- */

/* Options before the command name: stores them in call->set and moves *argc and *argv to the name.
 * -EINVAL with the reason. */
int command_parse_globals(struct command_call *call, int *argc, char ***argv);
/* Everything after the name, by the tables of call->command and the global ones. */
int command_parse(struct command_call *call, int argc, char **argv);
/* Put the global options that were given into their fields of `call`. */
int command_apply_globals(struct command_call *call);

/* --- command_help.c --- */

void command_help_root(FILE *out);
void command_help_exit(FILE *out);
void command_help_group(FILE *out, const char *group);
void command_help_one(FILE *out, const struct command *c);
/* The manual: every group, command, option and exit code. */
void command_help_markdown(FILE *out);
/* cowfs.1, and a page for every command, into a directory that is there. -errno with the reason. */
cow_errno command_help_man(const char *dir, struct cow_error *e);
/* "branch create"; buf is returned. */
const char *command_title(const struct command *c, char *buf, size_t size);
