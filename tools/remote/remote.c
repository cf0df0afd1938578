// SPDX-License-Identifier: Apache-2.0
#include "tools/remote/remote.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/cli/command_parts.h"
#include "tools/cli/exitcode.h"
#include "tools/process/process.h"

#define SSH_FAILED 255    /* ssh(1): an error of ssh itself */
#define SHELL_NO_SUCH 127 /* sh(1): no such program */

/* --- words --- */

void remote_quote(FILE *out, const char *word)
{
	const char *p = word;

	while (isalnum((unsigned char)*p) || (*p && strchr("_-./=:,+@%", *p)))
		p++;
	if (*word && !*p) {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (p = word; *p; p++) {
		if (*p == '\'')
			fputs("'\\''", out);
		else
			fputc(*p, out);
	}
	fputc('\'', out);
}

static void put_word(FILE *out, const char *word)
{
	fputc(' ', out);
	remote_quote(out, word);
}

static void put_option(FILE *out, const char *name, const char *value)
{
	CLEANUP_FREE char *word = NULL;

	if (asprintf(&word, value ? "--%s=%s" : "--%s", name, value) > 0)
		put_word(out, word);
}

static bool takes_value(const struct command *c, const char *name)
{
	for (const struct command_option *o = c->options; o && o->name; o++)
		if (strcmp(o->name, name) == 0)
			return o->value != NULL;
	for (const struct command_option *o = command_global_options; o->name; o++)
		if (strcmp(o->name, name) == 0)
			return o->value != NULL;
	return false;
}

static const char *program(void)
{
	const char *p = getenv("COWFS_HOST_PROGRAM");

	return p && *p ? p : "cowfs";
}

/* How a command line of the other side is to differ from ours. */
struct change {
	const char *feed, *as;      /* the first becomes --as=-; NULL = none */
	const char *const *without; /* these options stay here, up to a NULL; NULL = none */
	bool json;                  /* whatever the user asked for */
};

static bool is_one_of(const char *const *names, const char *name)
{
	for (; names && *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static void put_options(FILE *out, const struct command_call *call, const struct change *how)
{
	bool output = false;

	for (size_t k = 0; k < call->set->n; k++) {
		const struct command_value *v = &call->set->values[k];

		if (strcmp(v->name, "host") == 0 || strcmp(v->name, "store") == 0 ||
		    (how->json && strcmp(v->name, "output") == 0) ||
		    is_one_of(how->without, v->name))
			continue;
		output |= strcmp(v->name, "output") == 0;
		if (how->feed && strcmp(v->name, how->feed) == 0)
			put_option(out, how->as, "-");
		else
			put_option(out, v->name,
				   takes_value(call->command, v->name) ? v->value : NULL);
	}
	/* Whatever the environment there says: not further on. */
	put_option(out, "host", "");
	if (call->store)
		put_option(out, "store", call->store);
	if (how->json)
		put_option(out, "output", "json");
	else if (!output && getenv("COWFS_OUTPUT") && *getenv("COWFS_OUTPUT"))
		put_option(out, "output", getenv("COWFS_OUTPUT"));
}

/* The command line as one string; NULL without memory. */
static char *command_line(const struct command_call *call, const struct change *how)
{
	char *line = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&line, &len);

	if (!out)
		return NULL;
	remote_quote(out, program());
	if (call->command->group)
		put_word(out, call->command->group);
	put_word(out, call->command->name);
	put_options(out, call, how);
	/* An operand may look like an option only where "--" does not mean something else. */
	if (!call->command->takes_tail && call->argc > 0)
		put_word(out, "--");
	for (int k = 0; k < call->argc; k++)
		put_word(out, call->argv[k]);
	if (call->tail)
		put_word(out, "--");
	for (int k = 0; k < call->tail_argc; k++)
		put_word(out, call->tail[k]);
	return fclose(out) == 0 ? line : NULL;
}

static char *words_line(const struct command_call *call, const char *const *words)
{
	char *line = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&line, &len);

	if (!out)
		return NULL;
	remote_quote(out, program());
	put_option(out, "output", "json");
	put_option(out, "host", "");
	if (call->store)
		put_option(out, "store", call->store);
	for (; *words; words++)
		put_word(out, *words);
	return fclose(out) == 0 ? line : NULL;
}

/* --- ssh --- */

static cow_errno check_host(struct command_call *call)
{
	for (const char *p = call->host; *p; p++)
		if (isspace((unsigned char)*p) || iscntrl((unsigned char)*p))
			return command_usage(call, "'%s' names no machine", call->host);
	if (call->host[0] == '-')
		return command_usage(call, "'%s' names no machine", call->host);
	return 0;
}

size_t remote_ssh_argv(const struct command_call *call, const char **argv)
{
	static const char *const fixed[] = {
	    "-o", "BatchMode=yes",          "-o", "ConnectTimeout=10",
	    "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"};
	const char *config = getenv("COWFS_SSH_CONFIG");
	size_t n = 0;

	argv[n++] = "ssh";
	if (config && *config) {
		argv[n++] = "-F";
		argv[n++] = config;
	}
	for (size_t k = 0; k < sizeof(fixed) / sizeof(fixed[0]); k++)
		argv[n++] = fixed[k];
	argv[n] = NULL;
	return n;
}

static int judge(struct command_call *call, int status)
{
	if (status == SSH_FAILED) {
		cow_fail(&call->error, -ECONNREFUSED, "ssh to %s failed", call->host);
		return cow_hint(&call->error, -ECONNREFUSED,
				"ssh's own reason is above; try: ssh -o BatchMode=yes %s true",
				call->host);
	}
	if (status == SHELL_NO_SUCH && !call->command->takes_tail) {
		cow_fail(&call->error, -ENOENT, "there is no %s on %s", program(), call->host);
		return cow_hint(&call->error, -ENOENT,
				"Install it there, or name it with COWFS_HOST_PROGRAM.");
	}
	return status;
}

/* Steals `line`. */
static int run_line(struct command_call *call, char *line, const struct process *streams)
{
	const char *argv[32];
	struct process p = *streams;
	int status = 0, r = check_host(call);
	size_t n = remote_ssh_argv(call, argv);

	if (r == 0 && !line)
		r = cow_fail(&call->error, -ENOMEM, "out of memory");
	/* A terminal there makes psql and questions work; its lines end with \r\n, so only when
	 * people look. */
	argv[n++] = p.in == PROCESS_INHERIT && p.out == PROCESS_INHERIT && isatty(STDIN_FILENO) &&
			    isatty(STDOUT_FILENO) && isatty(STDERR_FILENO)
			? "-t"
			: "-T";
	argv[n++] = "--";
	argv[n++] = call->host;
	argv[n++] = line;
	argv[n] = NULL;
	p.argv = argv;
	if (r == 0)
		r = process_run(&p, &status, &call->error);
	free(line);
	return r < 0 ? r : judge(call, status);
}

int remote_run(struct command_call *call)
{
	static const struct process through = {
	    .in = PROCESS_INHERIT, .out = PROCESS_INHERIT, .err = PROCESS_INHERIT};

	return run_line(call, command_line(call, &(struct change){0}), &through);
}

int remote_run_feeding(struct command_call *call, const char *option, const char *as, int in)
{
	const struct process p = {.in = in, .out = PROCESS_INHERIT, .err = PROCESS_INHERIT};
	const struct change how = {.feed = option, .as = as};

	return run_line(call, command_line(call, &how), &p);
}

/* --- asking --- */

/* What failed there as if it had failed here; words that are no error of ours are ssh's. */
static void retell(const struct command_call *call, const char *said)
{
	json_t *v = json_loads(said, JSON_DISABLE_EOF_CHECK, NULL);
	const json_t *e = json_object_get(v, "error");
	const char *text = json_string_value(json_object_get(e, "message"));
	const char *hint = json_string_value(json_object_get(e, "hint"));

	if (!text || call->out.format == OUTPUT_JSON)
		fputs(said, stderr);
	else
		fprintf(stderr, "cowfs: %s\n%s%s%s", text, hint && *hint ? "hint: " : "",
			hint && *hint ? hint : "", hint && *hint ? "\n" : "");
	json_decref(v);
}

/* Steals `line`. */
static int ask_line(struct command_call *call, char *line, json_t **ret)
{
	CLEANUP_FD int out = process_memory("answer"), err = process_memory("errors");
	const struct process p = {.in = PROCESS_NULL, .out = out, .err = err};
	CLEANUP_FREE char *said = NULL, *text = NULL;
	int r;

	if (out < 0 || err < 0) {
		r = cow_fail(&call->error, -errno, "cannot make a file in memory");
		free(line);
		return r;
	}
	r = run_line(call, line, &p);
	said = process_read(err, NULL);
	if (r != 0 && said)
		retell(call, said);
	if (r != 0 || !ret)
		return r;
	text = process_read(out, NULL);
	*ret = text ? json_loads(text, 0, NULL) : NULL;
	if (!*ret)
		return cow_fail(&call->error, -EBADMSG, "%s answered with something else than JSON",
				call->host);
	return 0;
}

int remote_ask(struct command_call *call, const char *const *without, json_t **ret)
{
	const struct change how = {.json = true, .without = without};

	return ask_line(call, command_line(call, &how), ret);
}

int remote_ask_words(struct command_call *call, const char *const *words, json_t **ret)
{
	return ask_line(call, words_line(call, words), ret);
}

void remote_host_name(const char *host, char *ret, size_t size)
{
	const char *at, *end;

	if (strncmp(host, "ssh://", 6) == 0) {
		host += 6;
		at = strrchr(host, '@');
		host = at ? at + 1 : host;
		end = host[0] == '[' ? strchr(host, ']') : NULL;
		snprintf(ret, size, "%.*s",
			 (int)strcspn(end ? end : host, ":/") + (int)(end ? end - host : 0), host);
		return;
	}
	at = strrchr(host, '@');
	snprintf(ret, size, "%s", at ? at + 1 : host);
}
