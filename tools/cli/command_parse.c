// SPDX-License-Identifier: Apache-2.0
/* Options: getopt_long driven by the tables, without its abbreviations. */
#include "tools/cli/command_parts.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/daemon/client.h"
#include "tools/cli/checkout.h"
#include "tools/cli/parse.h"

#define OPTIONS_MAX 48 /* of one command with the global ones */
#define LONG_BASE 256  /* getopt's value of long option k is LONG_BASE + k */

const struct command_option command_global_options[] = {
    {"store", 'S', "DIR", "the store (default: the environment variable COWFS_STORE)"},
    {"host", 0, "USER@SERVER", "run it there, over ssh (default: COWFS_HOST; '' = here)"},
    {"output", 'o', "FORMAT", "table, json, yaml, env or tsv (default: table)"},
    {"quiet", 'q', NULL, "only names on stdout, no progress on stderr"},
    {"no-header", 0, NULL, "tables and tsv without their first line"},
    {"bytes", 0, NULL, "exact sizes and times in tables"},
    {"no-color", 0, NULL, "no colour (also: the environment variable NO_COLOR)"},
    {"help", 'h', NULL, "show help and stop"},
    {"version", 0, NULL, "show the version and stop"},
    {0},
};

struct tables {
	const struct command_option *known[OPTIONS_MAX];
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 * OPTIONS_MAX + 4];
	size_t n;
};

static void tables_add(struct tables *t, const struct command_option *o, const char *without)
{
	size_t len = strlen(t->shorts);

	for (; o && o->name && t->n < OPTIONS_MAX; o++, t->n++) {
		t->known[t->n] = o;
		t->longs[t->n] = (struct option){
		    .name = o->name,
		    .has_arg = o->value ? required_argument : no_argument,
		    .val = LONG_BASE + (int)t->n,
		};
		if (!o->letter || strchr(without, o->letter))
			continue;
		t->shorts[len++] = o->letter;
		if (o->value)
			t->shorts[len++] = ':';
	}
	t->shorts[len] = '\0';
}

static int set_add(struct command_set *s, const char *name, const char *value)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 8;
		struct command_value *more = realloc(s->values, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->values = more;
		s->cap = cap;
	}
	s->values[s->n++] = (struct command_value){name, value};
	return 0;
}

static const struct command_option *find_short(const struct tables *t, int letter)
{
	for (size_t k = 0; k < t->n; k++)
		if (letter && t->known[k]->letter == letter)
			return t->known[k];
	return NULL;
}

static int unknown_option(struct command_call *call, const struct tables *t, const char *word)
{
	const char *best = NULL;
	unsigned least = 3;
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
	for (size_t k = 0; k < t->n; k++) {
		unsigned far = parse_distance(t->known[k]->name, name);

		if (far < least || strncmp(t->known[k]->name, name, strlen(name)) == 0) {
			least = far;
			best = t->known[k]->name;
		}
	}
	if (best)
		return command_usage(call, "unknown option --%s; did you mean --%s?", name, best);
	return command_usage(call, "unknown option --%s", name);
}

/* The long option that getopt has just read, as it was written, without dashes. */
static const char *word_read(char **argv, const struct command_option *o)
{
	const char *word = argv[optind - 1];

	if (o && o->value && optarg == word)
		word = argv[optind - 2];
	return word + strspn(word, "-");
}

/* getopt takes any unambiguous beginning for the name; a script must not depend on what happens to
 * be unambiguous today. */
static bool written_in_full(char **argv, const struct command_option *o)
{
	const char *word = word_read(argv, o);

	return strcspn(word, "=") == strlen(o->name) &&
	       strncmp(word, o->name, strlen(o->name)) == 0;
}

static int refuse(struct command_call *call, const struct tables *t, int answer, char **argv)
{
	const struct command_option *o;

	if (answer == ':') {
		o = optopt >= LONG_BASE ? t->known[optopt - LONG_BASE] : find_short(t, optopt);
		return command_usage(call, "option --%s needs a value (%s)", o ? o->name : "?",
				     o ? o->value : "?");
	}
	if (optopt >= LONG_BASE)
		return command_usage(call, "option --%s takes no value",
				     t->known[optopt - LONG_BASE]->name);
	if (optopt)
		return command_usage(call, "unknown option -%c", optopt);
	return unknown_option(call, t, word_read(argv, NULL));
}

/* argv[0] is skipped, as getopt does. */
static int run_getopt(struct command_call *call, const struct tables *t, int argc, char **argv)
{
	int answer;

	optind = 0; /* glibc: start over, also after an earlier scan */
	opterr = 0;
	while ((answer = getopt_long(argc, argv, t->shorts, t->longs, NULL)) != -1) {
		const struct command_option *o;

		if (answer == '?' || answer == ':')
			return refuse(call, t, answer, argv);
		o = answer >= LONG_BASE ? t->known[answer - LONG_BASE] : find_short(t, answer);
		if (answer >= LONG_BASE && !written_in_full(argv, o))
			return unknown_option(call, t, word_read(argv, o));
		if (set_add(call->set, o->name, o->value ? optarg : "") < 0)
			return -ENOMEM;
	}
	return 0;
}

int command_parse_globals(struct command_call *call, int *argc, char ***argv)
{
	struct tables t = {.shorts = "+:"};
	int r;

	tables_add(&t, command_global_options, "");
	r = run_getopt(call, &t, *argc, *argv);
	if (r < 0)
		return r;
	*argc -= optind;
	*argv += optind;
	return 0;
}

/* Letters that the command uses itself: they hide the global short form. */
static void own_letters(const struct command_option *o, char *buf)
{
	for (; o && o->name; o++)
		if (o->letter)
			*buf++ = o->letter;
	*buf = '\0';
}

/* "--" ends what is ours; what follows belongs to the program that the command starts. */
static int cut_tail(struct command_call *call, int argc, char **argv)
{
	if (!call->command->takes_tail)
		return argc;
	for (int k = 1; k < argc; k++) {
		if (strcmp(argv[k], "--") != 0)
			continue;
		call->tail = argv + k + 1;
		call->tail_argc = argc - k - 1;
		argv[k] = NULL;
		return k;
	}
	return argc;
}

/* Names travel as JSON, which holds UTF-8 only; a name must not silently become another. */
static int check_text(struct command_call *call, const char *text)
{
	json_t *v = json_string(text);

	if (!v)
		return command_usage(call, "an argument is not valid UTF-8");
	json_decref(v);
	return 0;
}

static int check_texts(struct command_call *call)
{
	int r = 0;

	for (int k = 0; r == 0 && k < call->argc; k++)
		r = check_text(call, call->argv[k]);
	for (size_t k = 0; r == 0 && k < call->set->n; k++)
		r = check_text(call, call->set->values[k].value);
	return r;
}

static void find_pinned(struct command_call *call)
{
	struct checkout *c = call->pinned ? NULL : calloc(1, sizeof(*c));

	if (c && checkout_find(c, &call->error) == 0)
		call->pinned = c;
	else
		free(c);
}

/* The branch that was not named: COWFS_BRANCH, else that of the working directory. */
static int command_pin(struct command_call *call)
{
	const char *branch = getenv("COWFS_BRANCH");

	if (!call->command->pins || call->argc > 0)
		return 0;
	if (!branch || !*branch) {
		find_pinned(call);
		if (!call->pinned && call->error.text[0])
			return -EPERM;
		if (!call->pinned) {
			command_usage(call, "which branch? %s", call->command->usage);
			return cow_hint(
			    &call->error, -EINVAL,
			    "Name it, set COWFS_BRANCH, or choose one for this directory: "
			    "cowfs checkout BRANCH");
		}
		branch = call->pinned->branch;
	}
	call->pin[0] = (char *)branch;
	call->argv = call->pin;
	call->argc = 1;
	return 0;
}

/* Of a usage, up to its first option. */
static int operands_length(const char *usage)
{
	const char *in_brackets = strstr(usage, " [-"), *plain = strstr(usage, " --");
	size_t n = strlen(usage);

	if (in_brackets)
		n = (size_t)(in_brackets - usage);
	if (plain && (size_t)(plain - usage) < n)
		n = (size_t)(plain - usage);
	return (int)n;
}

int command_parse(struct command_call *call, int argc, char **argv)
{
	const struct command *c = call->command;
	struct tables t = {.shorts = ":"};
	char own[OPTIONS_MAX + 1];
	int r;

	own_letters(c->options, own);
	tables_add(&t, c->options, "");
	tables_add(&t, command_global_options, own);
	argc = cut_tail(call, argc, argv);
	r = run_getopt(call, &t, argc, argv);
	if (r < 0 || command_option(call, "help"))
		return r;
	call->argc = argc - optind;
	call->argv = argv + optind;
	r = command_pin(call);
	if (r < 0)
		return r;
	if (call->argc < c->min_args)
		return command_usage(call, "missing operand: %.*s", operands_length(c->usage),
				     c->usage);
	if (c->max_args >= 0 && call->argc > c->max_args)
		return command_usage(call, "unexpected operand '%s'", call->argv[c->max_args]);
	return check_texts(call);
}

int command_apply_globals(struct command_call *call)
{
	const char *format = command_option(call, "output");
	const char *no_color = getenv("NO_COLOR");

	if (!format)
		format = getenv("COWFS_OUTPUT");
	if (format && *format && output_parse_format(format, &call->out.format) < 0)
		return command_usage(call,
				     "unknown output format '%s'; known are table, json, yaml, "
				     "env and tsv",
				     format);
	call->host = command_option(call, "host");
	if (!call->host)
		call->host = getenv("COWFS_HOST");
	if (call->host && !*call->host)
		call->host = NULL;
	call->store = command_option(call, "store");
	if (!call->store)
		call->store = getenv("COWFS_STORE");
	/* A store that this directory is pinned to is one of this machine. */
	if (call->host && call->store && !*call->store)
		call->store = NULL;
	/* A file that does not count is a reason to fail only where its branch is wanted. */
	if (!call->host && (!call->store || !*call->store)) {
		struct cow_error before = call->error;

		find_pinned(call);
		call->error = before;
		if (call->pinned)
			call->store = call->pinned->store;
	}
	call->out.quiet = command_option(call, "quiet") != NULL;
	call->out.no_header = command_option(call, "no-header") != NULL;
	call->out.bytes = command_option(call, "bytes") != NULL;
	call->color =
	    isatty(STDERR_FILENO) && !(no_color && *no_color) && !command_option(call, "no-color");
	client_set_quiet(call->out.quiet);
	return 0;
}
