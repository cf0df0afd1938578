// SPDX-License-Identifier: Apache-2.0
/* cowfs golden scan: look for given values, and for what looks like data of people, in every byte
 * of a branch or of any stopped data directory. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/cli/commands.h"
#include "tools/cli/parse.h"
#include "tools/cli/progress.h"
#include "tools/golden/originals.h"
#include "tools/golden/report.h"
#include "tools/golden/residue.h"
#include "tools/pg/pgbranch.h"

/* Only in the whole executable (whole.h). */
#pragma weak residue_release
#pragma weak residue_run

static const struct output_column columns[] = {
    {"kind", "KIND", OUTPUT_TEXT, NULL},         {"what", "WHAT", OUTPUT_TEXT, NULL},
    {"relation", "RELATION", OUTPUT_TEXT, NULL}, {"file", "FILE", OUTPUT_TEXT, NULL},
    {"offset", "OFFSET", OUTPUT_NUMBER, NULL},   {"place", "PLACE", OUTPUT_TEXT, NULL},
    {"count", "COUNT", OUTPUT_NUMBER, NULL},     {0},
};
static const struct output_spec hits_spec = {.rows = "hits", .columns = columns};

static const struct output_column sums[] = {
    {"files", "Files", OUTPUT_NUMBER, NULL},
    {"bytes", "Bytes", OUTPUT_BYTES, NULL},
    {"unpacked", "Values unpacked", OUTPUT_NUMBER, NULL},
    {"toasted", "Values put together", OUTPUT_NUMBER, NULL},
    {"wal_records", "WAL records", OUTPUT_NUMBER, NULL},
    {"originals_found", "Originals found", OUTPUT_NUMBER, NULL},
    {"detected", "Detected", OUTPUT_NUMBER, NULL},
    {"ms", "Milliseconds", OUTPUT_NUMBER, NULL},
    {0},
};
static const struct output_spec sums_spec = {.columns = sums};

/* --- originals from a file: NAME<TAB>VALUE or VALUE on each line --- */

static cow_errno add_line(struct originals *o, char *line, size_t len, uint32_t *column,
			  char **name)
{
	char *tab = memchr(line, '\t', len);
	const char *of = tab ? line : "given";
	cow_errno r = 0;

	if (tab)
		*tab = '\0';
	/* Lines of one name follow each other. */
	if (!*name || strcmp(*name, of) != 0) {
		free(*name);
		*name = strdup(of);
		r = *name ? originals_column(o, "a file", "values", of, column) : -ENOMEM;
	}
	if (r == 0 && tab)
		return originals_add(o, *column, ORIGINAL_TEXT, tab + 1,
				     len - (size_t)(tab + 1 - line));
	return r == 0 ? originals_add(o, *column, ORIGINAL_TEXT, line, len) : r;
}

static cow_errno read_originals(struct command_call *call, const char *path, struct originals *o)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	CLEANUP_FREE char *line = NULL, *name = NULL;
	uint32_t column = 0;
	size_t room = 0;
	ssize_t n;
	cow_errno r = 0;

	if (!f)
		return cow_fail(&call->error, -errno, "cannot read %s: %s", path, strerror(errno));
	while (r == 0 && (n = getline(&line, &room, f)) > 0) {
		if (line[n - 1] == '\n')
			line[--n] = '\0';
		r = add_line(o, line, (size_t)n, &column, &name);
	}
	if (ferror(f))
		r = cow_fail(&call->error, -EIO, "cannot read %s", path);
	if (f != stdin)
		fclose(f);
	return r == 0 ? originals_ready(o) : r;
}

/* A repeated option as a list that ends with NULL. */
static cow_errno list_of(const struct command_call *call, const char *option, const char ***ret)
{
	size_t n = 0;

	while (command_option_nth(call, option, n))
		n++;
	*ret = calloc(n + 1, sizeof(**ret));
	for (size_t k = 0; *ret && k < n; k++)
		(*ret)[k] = command_option_nth(call, option, k);
	return *ret ? 0 : -ENOMEM;
}

/* --- the scan --- */

static cow_errno directory_of(struct command_call *call, char *ret, size_t size)
{
	const char *given = command_option(call, "directory");
	struct pgbranch b;
	cow_errno r;

	if (given) {
		snprintf(ret, size, "%s", given);
		return call->argc ? command_usage(call, "give a branch or --directory, not both")
				  : 0;
	}
	if (call->argc == 0)
		return command_usage(call, "which branch?");
	r = pgbranch_find(call, call->argv[0], (struct pgbranch_port){0}, &b);
	if (r < 0)
		return r;
	if (b.state.running) {
		cow_fail(&call->error, -EBUSY,
			 "%s is running: what its server holds in memory is not in "
			 "its files",
			 b.name);
		return cow_hint(&call->error, -EBUSY, "Stop it first: cowfs stop %s", b.name);
	}
	snprintf(ret, size, "%s", b.pgdata);
	return 0;
}

static void forward(void *arg, uint64_t done, uint64_t total)
{
	progress_set(arg, done, total);
}

static cow_errno print(struct command_call *call, const struct residue_result *result)
{
	json_t *o = residue_json(result);
	cow_errno r = output_print(&call->out, o, &hits_spec);

	if (r == 0 && !call->out.quiet && call->out.format == OUTPUT_TABLE)
		r = output_print(&call->out, o, &sums_spec);
	json_decref(o);
	return r;
}

static cow_errno scan(struct command_call *call, struct residue_scan *how)
{
	struct residue_result result = {0};
	struct progress *bar = progress_new("scan", call->out.quiet);
	cow_errno r;

	how->progress = forward;
	how->arg = bar;
	r = residue_run(how, &result, &call->error);
	progress_free(bar);
	if (r == 0)
		r = print(call, &result);
	if (r == 0 && result.originals + result.detected > 0) {
		r = cow_fail(&call->error, -EBADMSG, "%llu original(s) found, %llu detected",
			     (unsigned long long)result.originals,
			     (unsigned long long)result.detected);
	}
	residue_release(&result);
	return r;
}

static int run(struct command_call *call)
{
	const char *file = command_option(call, "originals"), *text = command_option(call, "jobs");
	CLEANUP_FREE const char **fake = NULL, **domains = NULL;
	struct detect_policy policy = {0};
	struct originals *o = originals_new(0);
	char dir[PATH_MAX];
	struct residue_scan how = {.dir = dir};
	uint64_t jobs = 0;
	cow_errno r = text ? parse_number(text, 1, 64, &jobs, &call->error) : 0;

	if (r == 0)
		r = directory_of(call, dir, sizeof(dir));
	if (r == 0 && (!o || list_of(call, "fake-domain", &fake) < 0 ||
		       list_of(call, "allow-domain", &domains) < 0))
		r = cow_fail(&call->error, -ENOMEM, "out of memory");
	if (r == 0 && file) {
		r = read_originals(call, file, o);
		how.originals = o;
	}
	if (r == 0) {
		policy.fake_domains = fake;
		policy.allow_domains = domains;
		how.policy = command_option(call, "no-detectors") ? NULL : &policy;
		how.threads = (unsigned)jobs;
		r = scan(call, &how);
	}
	originals_free(o);
	return r;
}

static const struct command_option options[] = {
    {"directory", 0, "DIR", "a stopped data directory that is no branch"},
    {"originals", 0, "FILE", "values to look for, one a line, or NAME<tab>VALUE; - is stdin"},
    {"no-detectors", 0, NULL, "look only for the values given"},
    {"fake-domain", 0, "DOMAIN", "e-mail addresses there are not real; may be repeated"},
    {"allow-domain", 0, "DOMAIN", "e-mail addresses there may stay; may be repeated"},
    {"jobs", 'j', "N", "threads (default: one for each processor)"},
    {0},
};

const struct command cmd_golden_scan = {
    .group = "golden",
    .name = "scan",
    .summary = "look for values and personal data in every byte of a branch",
    .usage = "BRANCH|--directory DIR [--originals FILE]",
    .detail =
	"Dead tuples, TOAST, indexes, statistics, WAL, sort spill and whatever else lies in the "
	"directory;\ncompressed values are unpacked. Detectors look for e-mail addresses, card "
	"numbers "
	"and IBANs with\nvalid check digits, and phone numbers. Values themselves are never "
	"printed. "
	"Exit status 8 when\nsomething was found.",
    .example = "cowfs golden scan staging --originals customers.txt --fake-domain test.example",
    .options = options,
    .max_args = 1,
    .whole = true,
    .run = run,
};
