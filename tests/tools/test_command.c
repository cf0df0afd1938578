// SPDX-License-Identifier: Apache-2.0
/* Command lines: what is understood, what is refused with which exit status, and help from the
 * tables. */
#include "tools/cli/commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tools/cli/exitcode.h"

static char errors[8192];

/* Runs a command line of blank-separated words; its stderr is in `errors` afterwards. */
static int run(const char *line)
{
	char copy[1000], *argv[40] = {"cowfs"}, *save = NULL;
	int argc = 1, saved = dup(STDERR_FILENO), r;
	FILE *f = tmpfile();
	size_t n;

	unsetenv("COWFS_STORE");
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	dup2(fileno(f), STDERR_FILENO);
	r = command_main(argc, argv);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(f);
	n = fread(errors, 1, sizeof(errors) - 1, f);
	errors[n] = '\0';
	fclose(f);
	return r;
}

/* Every wrong command line ends with status 2 and names what is wrong. */
Test(command, wrong_lines_are_usage_errors)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
	    {"", "no command given"},
	    {"brnch list", "did you mean 'branch'?"},
	    {"branch", "needs a verb"},
	    {"branch lst", "did you mean 'branch list'?"},
	    {"branch create", "missing operand: NAME"},
	    {"branch list extra", "unexpected operand 'extra'"},
	    {"branch create x --empti", "did you mean --empty?"},
	    {"branch create x --par main", "did you mean --parent?"},
	    {"branch create x --parent", "needs a value"},
	    {"branch create x --empty=1", "takes no value"},
	    {"branch create x -Z", "unknown option -Z"},
	    {"branch list", "no store given"},
	    {"branch list -o xml", "unknown output format 'xml'"},
	    {"snapshot delete main --yes", "does not name a snapshot"},
	    {"branch get \xff", "not valid UTF-8"},
	};

	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		cr_assert_eq(run(cases[k].line), EXITCODE_USAGE, "cowfs %s", cases[k].line);
		cr_assert(strstr(errors, cases[k].says), "cowfs %s: %s", cases[k].line, errors);
	}
}

/* In JSON mode an error is one JSON object on stderr, with a code that is a word. */
Test(command, errors_in_json)
{
	json_t *v;

	cr_assert_eq(run("branch list -o json"), EXITCODE_USAGE);
	v = json_loads(errors, 0, NULL);
	cr_assert(v, "%s", errors);
	v = json_object_get(v, "error");
	cr_assert_str_eq(json_string_value(json_object_get(v, "code")), "usage");
	cr_assert(json_string_length(json_object_get(v, "message")) > 0);
	cr_assert(json_string_length(json_object_get(v, "hint")) > 0);
}

/* Without a terminal nothing is destroyed unless --yes was said; the refusal names the flag. */
Test(command, destruction_needs_yes)
{
	static const char *const lines[] = {
	    "--store /nowhere branch delete main",
	    "--store /nowhere branch reset main",
	    "--store /nowhere branch restore main s",
	    "--store /nowhere snapshot delete main@s",
	};

	for (size_t k = 0; k < sizeof(lines) / sizeof(lines[0]); k++) {
		cr_assert_eq(run(lines[k]), EXITCODE_USAGE, "%s", lines[k]);
		cr_assert(strstr(errors, "--yes"), "%s", errors);
	}
}

/* A store that does not exist is "not found", whatever the command. */
Test(command, no_store_is_not_found)
{
	cr_assert_eq(run("--store /nowhere/at/all branch list"), EXITCODE_NOT_FOUND);
	cr_assert_eq(run("--store /nowhere/at/all status"), EXITCODE_NOT_FOUND);
}

/* Each command can explain itself: summary, usage and an example that begins with its own name. */
Test(command, every_command_documents_itself)
{
	for (const struct command *const *c = command_table; *c; c++) {
		cr_assert((*c)->name && (*c)->summary && (*c)->usage && (*c)->example && (*c)->run,
			  "%s", (*c)->name);
		cr_assert_eq(strncmp((*c)->example, "cowfs ", 6), 0, "%s", (*c)->example);
		cr_assert(strstr((*c)->example, (*c)->name), "%s", (*c)->example);
		cr_assert_neq((*c)->summary[strlen((*c)->summary) - 1], '.', "%s", (*c)->summary);
		for (const struct command_option *o = (*c)->options; o && o->name; o++)
			cr_assert(o->help && o->help[0], "%s --%s", (*c)->name, o->name);
	}
}

/* No letter stands for two options of one command. */
Test(command, letters_are_unique)
{
	for (const struct command *const *c = command_table; *c; c++)
		for (const struct command_option *o = (*c)->options; o && o->name; o++)
			for (const struct command_option *p = o + 1; o->letter && p->name; p++)
				cr_assert_neq(o->letter, p->letter, "%s -%c", (*c)->name,
					      o->letter);
}

/* Every errno that the contract headers name has a status of its own kind, and never 0. */
Test(exitcode, no_error_is_success)
{
	for (int k = 1; k < 200; k++)
		cr_assert_neq(exitcode_of(-k), EXITCODE_OK);
	cr_assert_eq(exitcode_of(0), EXITCODE_OK);
	cr_assert_eq(exitcode_of(-ENOENT), EXITCODE_NOT_FOUND);
	cr_assert_eq(exitcode_of(-EEXIST), EXITCODE_CONFLICT);
	cr_assert_eq(exitcode_of(-EBUSY), EXITCODE_CONFLICT);
	cr_assert_eq(exitcode_of(-EACCES), EXITCODE_NOT_PERMITTED);
	cr_assert_eq(exitcode_of(-EIO), EXITCODE_INTEGRITY);
	cr_assert_eq(exitcode_of(-ETIMEDOUT), EXITCODE_TIMEOUT);
	cr_assert_eq(exitcode_of(-ECONNRESET), EXITCODE_UNREACHABLE);
	cr_assert_eq(exitcode_of(-ENOSPC), EXITCODE_FAILURE);
}
