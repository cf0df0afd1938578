// SPDX-License-Identifier: Apache-2.0
/* Help for a terminal and the manual in Markdown, both from the tables. */
#include "tools/cli/command_parts.h"

#include <string.h>

#include "tools/cli/commands.h"
#include "tools/cli/exitcode.h"

const char *command_title(const struct command *c, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", c->group ? c->group : "", c->group ? " " : "", c->name);
	return buf;
}

static void usage_line(FILE *out, const struct command *c)
{
	char title[64];

	fprintf(out, "cowfs %s%s%s\n", command_title(c, title, sizeof(title)),
		c->usage[0] ? " " : "", c->usage);
}

static void option_line(FILE *out, const struct command_option *o)
{
	char left[64];

	snprintf(left, sizeof(left), "%c%c%s --%s%s%s", o->letter ? '-' : ' ',
		 o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name, o->value ? " " : "",
		 o->value ? o->value : "");
	fprintf(out, "  %-26s %s\n", left, o->help);
}

static void option_lines(FILE *out, const char *heading, const struct command_option *o)
{
	if (!o || !o->name)
		return;
	fprintf(out, "\n%s:\n", heading);
	for (; o->name; o++)
		option_line(out, o);
}

/* Every line of `text` behind two blanks. */
static void indented(FILE *out, const char *text)
{
	while (*text) {
		int n = (int)strcspn(text, "\n");

		fprintf(out, "  %.*s\n", n, text);
		text += n + (text[n] != '\0');
	}
}

void command_help_one(FILE *out, const struct command *c)
{
	char title[64];

	fprintf(out, "cowfs %s: %s\n\nUsage:\n  ", command_title(c, title, sizeof(title)),
		c->summary);
	usage_line(out, c);
	if (c->detail)
		fprintf(out, "\n%s\n", c->detail);
	if (c->aliases)
		fprintf(out, "\nAlso called: %s\n", c->aliases);
	option_lines(out, "Options", c->options);
	option_lines(out, "Options of every command", command_global_options);
	fputs("\nExample:\n", out);
	indented(out, c->example);
}

static void command_lines(FILE *out, const char *group)
{
	for (const struct command *const *c = command_table; *c; c++) {
		char title[64];

		if (group ? !(*c)->group || strcmp((*c)->group, group) != 0 : (*c)->group != NULL)
			continue;
		fprintf(out, "  %-22s %s\n", command_title(*c, title, sizeof(title)),
			(*c)->summary);
	}
}

void command_help_group(FILE *out, const char *group)
{
	fprintf(out, "Usage:\n  cowfs %s VERB [ARGUMENTS]\n", group);
	fprintf(out, "\nCommands:\n");
	command_lines(out, group);
	fprintf(out, "\nHelp for one of them: cowfs %s VERB --help\n", group);
}

#define SCREEN 80 /* columns */
#define NAMES 15  /* of them for the name of a command */

/* A group is one entry: its verbs, over as many lines as they need. */
static void verb_lines(FILE *out, const char *group)
{
	int at = fprintf(out, "  %-*s", NAMES - 3, group);
	bool first = true;

	for (const struct command *const *c = command_table; *c; c++) {
		if (!(*c)->group || strcmp((*c)->group, group) != 0)
			continue;
		if (at + 2 + (int)strlen((*c)->name) >= SCREEN)
			at = fprintf(out, ",\n%*s%s", NAMES, "", (*c)->name) - 2;
		else
			at += fprintf(out, "%s%s", first ? " " : ", ", (*c)->name);
		first = false;
	}
	fputc('\n', out);
}

static unsigned verbs_of(const char *group)
{
	unsigned n = 0;

	for (const struct command *const *c = command_table; *c; c++)
		n += (*c)->group && strcmp((*c)->group, group) == 0;
	return n;
}

/* A command, or a group: one that has a single verb is a command of two words. */
static void section_line(FILE *out, const char *name)
{
	unsigned verbs = verbs_of(name);
	char title[64];

	for (const struct command *const *c = command_table; *c && verbs < 2; c++)
		if (strcmp((*c)->group ? (*c)->group : (*c)->name, name) == 0)
			fprintf(out, "  %-*s %s\n", NAMES - 3,
				command_title(*c, title, sizeof(title)), (*c)->summary);
	if (verbs >= 2)
		verb_lines(out, name);
}

void command_help_root(FILE *out)
{
	fputs("cowfs: a private copy of your PostgreSQL database for every branch\n\n"
	      "Usage: cowfs [--store DIR] COMMAND [ARGUMENTS]\n",
	      out);
	for (const struct command_section *s = command_sections; s->heading; s++) {
		const char *at = s->commands;

		fprintf(out, "\n%s:\n", s->heading);
		while (*at) {
			char name[32];
			int n = (int)strcspn(at, " ");

			snprintf(name, sizeof(name), "%.*s", n, at);
			section_line(out, name);
			at += n + (at[n] == ' ');
		}
	}
	fputs("\nOptions of every command, and an example: cowfs COMMAND --help\n"
	      "Verbs of a group: cowfs branch --help. Exit statuses: cowfs help "
	      "--exit-status\n",
	      out);
}

void command_help_exit(FILE *out)
{
	for (const struct exitcode_row *row = exitcode_table; row->name; row++)
		fprintf(out, "  %-4d %s\n", (int)row->code, row->meaning);
}

/* --- the manual --- */

static void markdown_options(FILE *out, const struct command_option *o)
{
	for (; o && o->name; o++) {
		fputs("- ", out);
		if (o->letter)
			fprintf(out, "`-%c`, ", o->letter);
		fprintf(out, "`--%s%s%s`: %s\n", o->name, o->value ? " " : "",
			o->value ? o->value : "", o->help);
	}
}

static void markdown_command(FILE *out, const struct command *c)
{
	char title[64];

	fprintf(out, "\n### cowfs %s\n\n%c%s.\n\n```\n", command_title(c, title, sizeof(title)),
		c->summary[0] & ~0x20, c->summary + 1);
	usage_line(out, c);
	fputs("```\n", out);
	if (c->detail)
		fprintf(out, "\n%s\n", c->detail);
	if (c->aliases)
		fprintf(out, "\nAlso called: `%s`\n", c->aliases);
	if (c->options) {
		fputc('\n', out);
		markdown_options(out, c->options);
	}
	fprintf(out, "\nExample:\n```\n%s\n```\n", c->example);
}

static void markdown_commands(FILE *out, const char *group)
{
	for (const struct command *const *c = command_table; *c; c++)
		if (group ? (*c)->group && strcmp((*c)->group, group) == 0 : !(*c)->group)
			markdown_command(out, *c);
}

void command_help_markdown(FILE *out)
{
	fputs("# cowfs: commands\n\n## Options of every command\n\n", out);
	markdown_options(out, command_global_options);
	fputs("\n## Exit status\n\n| status | name in JSON errors | meaning |\n|---|---|---|\n",
	      out);
	for (const struct exitcode_row *row = exitcode_table; row->name; row++)
		fprintf(out, "| %d | `%s` | %s |\n", (int)row->code, row->name, row->meaning);
	fputs("\n## Commands\n", out);
	markdown_commands(out, NULL);
	for (const struct command_group *g = command_groups; g->name; g++) {
		fprintf(out, "\n## %s\n", g->summary);
		markdown_commands(out, g->name);
	}
}
