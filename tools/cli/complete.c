// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/complete.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <jansson.h>

#include "store/cleanup.h"
#include "tools/cli/checkout.h"
#include "tools/cli/command_parts.h"
#include "tools/daemon/wire.h"

/* The line so far. */
struct line {
	FILE *out;
	const char *current,
	    *prefix; /* typed; "--name=" when a value is typed behind it, else "" */
	size_t prefix_len;
	const struct command_group *group;
	const struct command *command;
	const struct command_option *pending; /* the word before wants this value */
	const char *store, *first;            /* first operand; NULL = none */
	int operands;                         /* before the current word */
	bool tail;                            /* behind "--" */
};

static void offer(const struct line *l, const char *word, const char *what)
{
	if (strncmp(word, l->current, strlen(l->current)) == 0)
		fprintf(l->out, "%.*s%s\t%s\n", (int)l->prefix_len, l->prefix, word, what);
}

/* --- live names --- */

static void give_up(int sig)
{
	_exit(0);
}

/* The answer of the daemon, or NULL. What was found before has been printed by then. */
static json_t *ask(const struct line *l, const char *verb, const char *branch)
{
	const struct itimerval limit = {.it_value.tv_usec = COMPLETE_MS * 1000};
	json_t *line = NULL, *result = NULL;
	struct checkout *pinned = NULL;
	const char *store = l->store;
	struct wire w;
	int fd;

	fflush(l->out);
	signal(SIGALRM, give_up);
	setitimer(ITIMER_REAL, &limit, NULL);
	if (!store || !*store)
		store = getenv("COWFS_STORE");
	if ((!store || !*store) && (pinned = calloc(1, sizeof(*pinned))) &&
	    checkout_find(pinned, NULL) == 0)
		store = pinned->store;
	if (store && *store && wire_connect(store, &fd) == 0) {
		wire_init(&w, fd, WIRE_ANSWER_MAX);
		if (wire_write(&w, json_pack("{s:s,s:{s:s*}}", "verb", verb, "args", "branch",
					     branch)) == 0 &&
		    wire_read(&w, &line) > 0)
			result = json_incref(json_object_get(line, "result"));
		wire_release(&w);
	}
	json_decref(line);
	free(pinned);
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
	return result;
}

static void offer_keys(const struct line *l, const char *verb, const char *branch, const char *rows,
		       const char *key, const char *what)
{
	json_t *answer = ask(l, verb, branch), *row;
	size_t k;

	json_array_foreach (json_object_get(answer, rows), k, row) {
		const char *name = json_string_value(json_object_get(row, key));
		const char *parent = json_string_value(json_object_get(row, "parent"));
		char about[600];

		snprintf(about, sizeof(about), "%s%s%s", what, parent ? " of " : "",
			 parent ? parent : "");
		if (name)
			offer(l, name, about);
	}
	json_decref(answer);
}

static void offer_branches(const struct line *l)
{
	offer_keys(l, "branch.list", NULL, "branches", "name", "branch");
}

/* BRANCH@NAME, once the branch is typed; before that, branches. */
static void offer_points(const struct line *l, bool branches_too)
{
	CLEANUP_FREE char *branch = NULL;
	const char *at = strchr(l->current, '@');

	if (!at && branches_too) {
		offer_branches(l);
		return;
	}
	if (at)
		branch = strndup(l->current, (size_t)(at - l->current));
	offer_keys(l, "snapshot.list", branch, "snapshots", "reference", "snapshot");
}

/* --- words of one kind --- */

static void offer_commands(const struct line *l, const char *group)
{
	for (const struct command *const *c = command_table; *c; c++)
		if (group ? (*c)->group && strcmp((*c)->group, group) == 0 : !(*c)->group)
			offer(l, (*c)->name, (*c)->summary);
	for (const struct command_group *g = command_groups; !group && g->name; g++)
		offer(l, g->name, g->summary);
}

static void offer_options(const struct line *l, const struct command_option *o)
{
	for (; o && o->name; o++) {
		char word[80];

		snprintf(word, sizeof(word), "--%s", o->name);
		offer(l, word, o->help);
		snprintf(word, sizeof(word), "-%c", o->letter);
		if (o->letter && strcmp(l->current, word) == 0)
			offer(l, word, o->help);
	}
}

/* "smart|fast|immediate" */
static void offer_choices(const struct line *l, const char *choices, const char *what)
{
	while (*choices) {
		size_t n = strcspn(choices, "|");
		char word[80];

		snprintf(word, sizeof(word), "%.*s", (int)n, choices);
		offer(l, word, what);
		choices += n + (choices[n] == '|');
	}
}

/* What stands for a value in help says what it is. */
static void offer_value(const struct line *l, const struct command_option *o)
{
	static const struct {
		const char *value, *choices;
	} known[] = {
	    {"FORMAT", "table|json|yaml|env|tsv"},
	    {"MODE", "smart|fast|immediate"},
	};

	for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
		if (strcmp(known[k].value, o->value) == 0)
			offer_choices(l, known[k].choices, o->help);
	if (strchr(o->value, '|'))
		offer_choices(l, o->value, o->help);
	else if (strcmp(o->value, "DIR") == 0)
		fputs(":dir\n", l->out);
	else if (strncmp(o->value, "FILE", 4) == 0)
		fputs(":file\n", l->out);
	else if (strcmp(o->value, "P") == 0 || strcmp(o->value, "BRANCH") == 0)
		offer_points(l, true);
}

/* The word for this operand in the table; the last one repeats. */
static void kind_of(const struct line *l, char *ret, size_t size)
{
	const char *p = l->command->operands ? l->command->operands : "";

	*ret = '\0';
	for (int k = 0; *p && k <= l->operands; k++) {
		size_t n = strcspn(p, " ");

		snprintf(ret, size, "%.*s", (int)n, p);
		p += n + strspn(p + n, " ");
	}
}

static void offer_operand(const struct line *l)
{
	const struct command *c = l->command;
	char kind[32];

	if (l->tail) {
		fputs(":file\n", l->out);
		return;
	}
	if (c->max_args >= 0 && l->operands >= c->max_args)
		return;
	kind_of(l, kind, sizeof(kind));
	if (strcmp(kind, "branch") == 0)
		offer_branches(l);
	else if (strcmp(kind, "point") == 0)
		offer_points(l, true);
	else if (strcmp(kind, "snapshot") == 0)
		offer_points(l, false);
	else if (strcmp(kind, "own-snapshot") == 0)
		offer_keys(l, "snapshot.list", l->first, "snapshots", "name", "snapshot");
	else if (strcmp(kind, "command") == 0)
		offer_commands(l, l->first && command_find_group(l->first) ? l->first : NULL);
	else if (strchr(kind, '|'))
		offer_choices(l, kind, "");
	else if (strcmp(kind, "dir") == 0)
		fputs(":dir\n", l->out);
	else if (strcmp(kind, "file") == 0)
		fputs(":file\n", l->out);
}

/* --- reading the words before the cursor --- */

static const struct command_option *among(const struct command_option *o, const char *word,
					  size_t len)
{
	for (; o && o->name; o++)
		if ((len == 1 && o->letter == *word) ||
		    (len > 1 && strlen(o->name) == len && memcmp(o->name, word, len) == 0))
			return o;
	return NULL;
}

/* The option that "--name", "--name=..." or "-n" is; NULL = none. */
static const struct command_option *option_of(const struct line *l, const char *word)
{
	const char *name = word + strspn(word, "-");
	size_t len = strcspn(name, "=");
	const struct command_option *o = NULL;

	if (word[0] == '-' && word[1] != '-' && len > 1)
		len = 1;
	if (l->command)
		o = among(l->command->options, name, len);
	return o ? o : among(command_global_options, name, len);
}

static void read_option(struct line *l, const char *word)
{
	const struct command_option *o = option_of(l, word);
	const char *equals = strchr(word, '=');

	if (!o || !o->value)
		return;
	if (word[1] == '-' ? equals != NULL : word[2] != '\0') {
		if (strcmp(o->name, "store") == 0)
			l->store = word[1] == '-' ? equals + 1 : word + 2;
		return;
	}
	l->pending = o;
}

static void read_word(struct line *l, const char *word)
{
	if (l->pending) {
		if (strcmp(l->pending->name, "store") == 0)
			l->store = word;
		l->pending = NULL;
	} else if (l->tail) {
		return;
	} else if (strcmp(word, "--") == 0) {
		l->tail = l->command && l->command->takes_tail;
	} else if (word[0] == '-' && word[1]) {
		read_option(l, word);
	} else if (!l->group && !l->command && command_find_group(word)) {
		l->group = command_find_group(word);
	} else if (!l->command) {
		l->command = command_find(l->group ? l->group->name : NULL, word);
	} else if (l->operands++ == 0) {
		l->first = word;
	}
}

void complete(FILE *out, int n, char **words)
{
	struct line l = {.out = out, .current = n ? words[n - 1] : "", .prefix = ""};
	const char *equals;

	for (int k = 0; k + 1 < n; k++)
		read_word(&l, words[k]);
	equals = strchr(l.current, '=');
	if (!l.pending && !l.tail && strncmp(l.current, "--", 2) == 0 && equals) {
		l.pending = option_of(&l, l.current);
		l.prefix = l.current;
		l.prefix_len = (size_t)(equals + 1 - l.current);
		l.current = equals + 1;
		if (!l.pending || !l.pending->value)
			return;
	}
	if (l.pending) {
		offer_value(&l, l.pending);
	} else if (!l.tail && l.current[0] == '-') {
		if (l.command)
			offer_options(&l, l.command->options);
		offer_options(&l, command_global_options);
	} else if (l.command) {
		offer_operand(&l);
	} else {
		offer_commands(&l, l.group ? l.group->name : NULL);
	}
}
