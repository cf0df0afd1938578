// SPDX-License-Identifier: Apache-2.0
/* Man pages from the tables: cowfs(1), and one for every command, as cowfs-branch-create(1).
 *
 * In the classic man(7) macros, which every system's man can show. The date is that of
 * SOURCE_DATE_EPOCH where a packager sets it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/cli/command_parts.h"
#include "tools/cli/exitcode.h"

/* Text of ours as troff shows it literally. */
static void put(FILE *f, const char *text)
{
	bool line_begins = true;

	for (; *text; text++) {
		if (line_begins && (*text == '.' || *text == '\''))
			fputs("\\&", f);
		if (*text == '\\')
			fputs("\\e", f);
		else if (*text == '-')
			fputs("\\-", f);
		else
			fputc(*text, f);
		line_begins = *text == '\n';
	}
}

static void put_date(FILE *f)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	time_t now = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
	char text[32];
	struct tm tm;

	strftime(text, sizeof(text), "%Y-%m-%d", gmtime_r(&now, &tm));
	fputs(text, f);
}

/* "branch create" -> "cowfs-branch-create" */
static void page_name(const struct command *c, char *buf, size_t size)
{
	char title[64];

	snprintf(buf, size, "cowfs-%s", command_title(c, title, sizeof(title)));
	for (char *p = buf; *p; p++)
		if (*p == ' ')
			*p = '-';
}

static void put_head(FILE *f, const char *name, const char *summary)
{
	fputs(".TH ", f);
	for (const char *p = name; *p; p++) {
		if (*p == '-')
			fputc('\\', f);
		fputc(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p, f);
	}
	fputs(" 1 ", f);
	put_date(f);
	fprintf(f, " \"cowfs %s\" \"cowfs manual\"\n.SH NAME\n", COWFS_VERSION);
	put(f, name);
	fputs(" \\- ", f);
	put(f, summary);
	fputc('\n', f);
}

static void put_options(FILE *f, const char *heading, const struct command_option *o)
{
	if (!o || !o->name)
		return;
	fprintf(f, ".SH %s\n", heading);
	for (; o->name; o++) {
		fputs(".TP\n", f);
		if (o->letter)
			fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
		fputs("\\fB\\-\\-", f);
		put(f, o->name);
		fputs("\\fR", f);
		if (o->value) {
			fputs(" \\fI", f);
			put(f, o->value);
			fputs("\\fR", f);
		}
		fputc('\n', f);
		put(f, o->help);
		fputc('\n', f);
	}
}

/* Blank lines of our texts part paragraphs. */
static void put_paragraphs(FILE *f, const char *text)
{
	while (*text) {
		const char *end = strstr(text, "\n\n");
		size_t n = end ? (size_t)(end - text) : strlen(text);
		char *part = strndup(text, n);

		if (part)
			put(f, part);
		free(part);
		fputs(end ? "\n.PP\n" : "\n", f);
		text += n + (end ? 2 : 0);
	}
}

static void put_literal(FILE *f, const char *text)
{
	fputs(".nf\n", f);
	put(f, text);
	fputs("\n.fi\n", f);
}

static void put_exit_statuses(FILE *f)
{
	fputs(".SH EXIT STATUS\n", f);
	for (const struct exitcode_row *row = exitcode_table; row->name; row++) {
		fprintf(f, ".TP\n.B %d\n", (int)row->code);
		put(f, row->meaning);
		fputc('\n', f);
	}
}

static void put_command(FILE *f, const struct command *c)
{
	char name[80], title[64];

	page_name(c, name, sizeof(name));
	put_head(f, name, c->summary);
	fputs(".SH SYNOPSIS\n\\fBcowfs ", f);
	put(f, command_title(c, title, sizeof(title)));
	fputs("\\fR ", f);
	put(f, c->usage);
	fputc('\n', f);
	if (c->detail || c->aliases)
		fputs(".SH DESCRIPTION\n", f);
	if (c->detail)
		put_paragraphs(f, c->detail);
	if (c->aliases) {
		fprintf(f, "%sAlso called: ", c->detail ? ".PP\n" : "");
		put(f, c->aliases);
		fputs(".\n", f);
	}
	put_options(f, "OPTIONS", c->options);
	put_options(f, "OPTIONS OF EVERY COMMAND", command_global_options);
	fputs(".SH EXAMPLES\n", f);
	put_literal(f, c->example);
	fputs(".SH SEE ALSO\n.BR cowfs (1)\n", f);
}

/* --- cowfs(1) --- */

static void put_list(FILE *f, const char *group)
{
	for (const struct command *const *c = command_table; *c; c++) {
		char name[80];

		if (group ? !(*c)->group || strcmp((*c)->group, group) != 0 : (*c)->group != NULL)
			continue;
		page_name(*c, name, sizeof(name));
		fputs(".TP\n.BR ", f);
		put(f, name);
		fputs(" (1)\n", f);
		put(f, (*c)->summary);
		fputc('\n', f);
	}
}

static void put_root(FILE *f)
{
	put_head(f, "cowfs", "branches of PostgreSQL databases, on a copy-on-write file system");
	fputs(".SH SYNOPSIS\n\\fBcowfs\\fR [\\fB\\-\\-store\\fR \\fIDIR\\fR] \\fICOMMAND\\fR "
	      "[\\fIARGUMENTS\\fR]\n.SH DESCRIPTION\n",
	      f);
	put(f, "Every test and pull request gets a full private copy of a PostgreSQL database: a\n"
	       "branch, made in milliseconds, that stock postgres uses as its data directory.\n");
	fputs(".SH COMMANDS\n", f);
	put_list(f, NULL);
	for (const struct command_group *g = command_groups; g->name; g++) {
		fputs(".SS ", f);
		put(f, g->summary);
		fputc('\n', f);
		put_list(f, g->name);
	}
	put_options(f, "OPTIONS OF EVERY COMMAND", command_global_options);
	put_exit_statuses(f);
	fputs(
	    ".SH ENVIRONMENT\n.TP\n.B COWFS_STORE\nthe store\n.TP\n.B COWFS_BRANCH\nthe branch of "
	    "commands that take one, when none is named\n.TP\n.B COWFS_OUTPUT\nthe format of "
	    "\\-\\-output\n.TP\n.B NO_COLOR\nno colour\n",
	    f);
	fputs(".SH FILES\n.TP\n.I STORE/cowfs.conf\nsettings of the store\n.TP\n.I .cowfs\nthe "
	      "branch "
	      "of a working directory, see\n.BR cowfs\\-checkout (1)\n",
	      f);
}

/* `c` NULL = cowfs.1 */
static cow_errno write_page(int dir, const struct command *c, struct cow_error *e)
{
	char name[80] = "cowfs", file[96];
	int fd;
	FILE *f;

	if (c)
		page_name(c, name, sizeof(name));
	snprintf(file, sizeof(file), "%s.1", name);
	fd = openat(dir, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f)
		return cow_fail(e, -errno, "cannot write %s: %s", file, strerror(errno));
	if (c)
		put_command(f, c);
	else
		put_root(f);
	if (fclose(f) != 0)
		return cow_fail(e, -errno, "cannot write %s: %s", file, strerror(errno));
	return 0;
}

cow_errno command_help_man(const char *dir, struct cow_error *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cow_errno r;

	if (fd < 0)
		return cow_fail(e, -errno, "cannot open %s: %s", dir, strerror(errno));
	r = write_page(fd, NULL, e);
	for (const struct command *const *c = command_table; r == 0 && *c; c++)
		r = write_page(fd, *c, e);
	close(fd);
	return r;
}
