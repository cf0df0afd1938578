// SPDX-License-Identifier: Apache-2.0
/* Dispatch: find the command, parse, run, and turn the answer into words and an exit status. */
#include "tools/cli/checkout.h"
#include "tools/cli/command_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/daemon/client.h"
#include "tools/cli/commands.h"
#include "tools/cli/complete.h"
#include "tools/cli/exitcode.h"
#include "tools/cli/parse.h"
#include "tools/cli/whole.h"
#include "tools/remote/remote.h"

/* --- what commands ask their call --- */

const char *command_option(const struct command_call *call, const char *name)
{
	for (size_t k = call->set->n; k > 0; k--)
		if (strcmp(call->set->values[k - 1].name, name) == 0)
			return call->set->values[k - 1].value;
	return NULL;
}

const char *command_option_nth(const struct command_call *call, const char *name, size_t n)
{
	for (size_t k = 0; k < call->set->n; k++)
		if (strcmp(call->set->values[k].name, name) == 0 && n-- == 0)
			return call->set->values[k].value;
	return NULL;
}

int command_usage(struct command_call *call, const char *fmt, ...)
{
	char text[sizeof(call->error.text)], title[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cow_fail(&call->error, -EINVAL, "%s", text);
	if (!call->command)
		return cow_hint(&call->error, -EINVAL, "See: cowfs --help");
	return cow_hint(&call->error, -EINVAL, "See: cowfs %s --help",
			command_title(call->command, title, sizeof(title)));
}

cow_errno command_store(struct command_call *call, const char **ret)
{
	if (!call->store || !*call->store) {
		cow_fail(&call->error, -EINVAL, "no store given");
		return cow_hint(&call->error, -EINVAL,
				"Name it with --store DIR or set COWFS_STORE.");
	}
	*ret = call->store;
	return 0;
}

cow_errno command_confirm(struct command_call *call, const char *what, const char *name)
{
	char line[1024];

	if (command_option(call, "yes"))
		return 0;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO) || call->out.format != OUTPUT_TABLE) {
		cow_fail(&call->error, -EINVAL, "will not %s without confirmation", what);
		return cow_hint(&call->error, -EINVAL, "Repeat the command with --yes.");
	}
	fprintf(stderr, "This will %s. Type \"%s\" to confirm: ", what, name);
	if (!fgets(line, sizeof(line), stdin))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, name) != 0)
		return cow_fail(&call->error, -ECANCELED, "not confirmed; nothing was changed");
	return 0;
}

cow_errno command_ask(struct command_call *call, const char *verb, json_t *args, json_t **ret)
{
	const char *store = NULL;
	cow_errno r = command_store(call, &store);

	if (r < 0) {
		json_decref(args);
		return r;
	}
	return client_call(store, verb, args, ret, &call->error);
}

int command_verb(struct command_call *call, const char *verb, json_t *args,
		 const struct output_spec *spec)
{
	json_t *result = NULL;
	cow_errno r = command_ask(call, verb, args, &result);

	if (r == 0)
		r = output_print(&call->out, result, spec);
	json_decref(result);
	return r;
}

/* --- finding a command --- */

static bool in_words(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = words; p && *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		if (n == len && memcmp(p, word, n) == 0)
			return true;
		p += n;
	}
	return false;
}

const struct command_group *command_find_group(const char *word)
{
	for (const struct command_group *g = command_groups; g->name; g++)
		if (strcmp(g->name, word) == 0 || in_words(g->aliases, word))
			return g;
	return NULL;
}

const struct command *command_find(const char *group, const char *word)
{
	for (const struct command *const *c = command_table; *c; c++) {
		if (group ? !(*c)->group || strcmp((*c)->group, group) != 0 : (*c)->group != NULL)
			continue;
		if (strcmp((*c)->name, word) == 0 || in_words((*c)->aliases, word))
			return *c;
	}
	return NULL;
}

static void nearest(const char *word, const char *candidate, const char **best, unsigned *least)
{
	unsigned far = parse_distance(word, candidate);

	if (far < *least) {
		*least = far;
		*best = candidate;
	}
}

static int unknown_command(struct command_call *call, const char *group, const char *word)
{
	const char *best = NULL;
	unsigned least = 4;
	char title[300];

	for (const struct command *const *c = command_table; *c; c++)
		if (group ? (*c)->group && strcmp((*c)->group, group) == 0 : !(*c)->group)
			nearest(word, (*c)->name, &best, &least);
	for (const struct command_group *g = command_groups; !group && g->name; g++)
		nearest(word, g->name, &best, &least);
	snprintf(title, sizeof(title), "%s%s%s", group ? group : "", group ? " " : "", word);
	if (best)
		return command_usage(call, "unknown command '%s'; did you mean '%s%s%s'?", title,
				     group ? group : "", group ? " " : "", best);
	return command_usage(call, "unknown command '%s'", title);
}

/* --- running one --- */

static void print_error(const struct command_call *call, int r)
{
	const char *text = call->error.text[0] ? call->error.text : strerror(-r);
	const char *red = call->color ? "\033[31m" : "", *end = call->color ? "\033[0m" : "";

	if (call->out.format == OUTPUT_JSON) {
		json_t *o = json_pack("{s:{s:s,s:s%,s:s%}}", "error", "code",
				      exitcode_name(exitcode_of(r)), "message", text, strlen(text),
				      "hint", call->error.hint, strlen(call->error.hint));

		if (o)
			json_dumpf(o, stderr, JSON_COMPACT | JSON_ENSURE_ASCII);
		fputc('\n', stderr);
		json_decref(o);
		return;
	}
	fprintf(stderr, "%scowfs: %s%s\n", red, text, end);
	if (call->error.hint[0])
		fprintf(stderr, "hint: %s\n", call->error.hint);
}

/* Help that was asked for goes to stdout: it is the data. */
static bool answer_help(const struct command_call *call, const struct command_group *group)
{
	if (command_option(call, "version")) {
		printf("cowfs %s\n", COWFS_VERSION);
		return true;
	}
	if (!command_option(call, "help"))
		return false;
	if (call->command)
		command_help_one(stdout, call->command);
	else if (group)
		command_help_group(stdout, group->name);
	else
		command_help_root(stdout);
	return true;
}

static int show_verbs(struct command_call *call, const struct command_group *g)
{
	command_help_group(stderr, g->name);
	return command_usage(call, "'%s' needs a verb", g->name);
}

static int dispatch(struct command_call *call, int argc, char **argv)
{
	const struct command_group *g;
	char **words = argv;
	int r = command_parse_globals(call, &argc, &argv);

	if (r < 0)
		return r;
	if (answer_help(call, NULL))
		return 0;
	if (argc == 0) {
		command_help_root(stderr);
		return command_usage(call, "no command given");
	}
	g = command_find_group(argv[0]);
	if (g) {
		if (argc > 1 && argv[1][0] == '-') /* cowfs branch --help */
			r = command_parse_globals(call, &argc, &argv);
		else
			argc--, argv++;
		if (r < 0 || answer_help(call, g))
			return r;
		if (argc == 0)
			return show_verbs(call, g);
	}
	call->command = command_find(g ? g->name : NULL, argv[0]);
	if (!call->command)
		return unknown_command(call, g ? g->name : NULL, argv[0]);
	r = command_parse(call, argc, argv);
	if (r < 0 || answer_help(call, g))
		return r;
	r = command_apply_globals(call);
	if (r == 0 && !call->host && call->command->whole)
		r = whole_execute(words, &call->error);
	if (r < 0 || !call->host)
		return r < 0 ? r : call->command->run(call);
	return call->command->run_remote ? call->command->run_remote(call) : remote_run(call);
}

/* Nobody named the branch that is not there: say who did. */
static void explain_pin(struct command_call *call, int r)
{
	if (r != -ENOENT || call->argv != call->pin || !strstr(call->error.text, "no branch"))
		return;
	if (call->pinned && strcmp(call->pin[0], call->pinned->branch) == 0)
		cow_hint(&call->error, r,
			 "%s is the branch of this directory by %s; choose another one: cowfs "
			 "checkout BRANCH",
			 call->pin[0], call->pinned->path);
	else
		cow_hint(&call->error, r, "%s comes from COWFS_BRANCH.", call->pin[0]);
}

int command_main(int argc, char **argv)
{
	struct command_set set = {0};
	struct command_call call = {.out = {.out = stdout}, .set = &set};
	int r;

	/* Asked by shells, with the words of the line (complete.h). */
	if (argc > 1 && strcmp(argv[1], COMPLETE_WORD) == 0) {
		complete(stdout, argc - 2, argv + 2);
		return 0;
	}
	r = dispatch(&call, argc, argv);

	if (r < 0) {
		explain_pin(&call, r);
		if (call.out.format == OUTPUT_TABLE && command_option(&call, "output"))
			output_parse_format(command_option(&call, "output"), &call.out.format);
		print_error(&call, r);
	}
	free(set.values);
	free(call.pinned);
	return r < 0 ? (int)exitcode_of(r) : r;
}
