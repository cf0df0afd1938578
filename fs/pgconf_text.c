// SPDX-License-Identifier: Apache-2.0
/* pgconf_text: reading and rewriting the text of PostgreSQL's configuration files.
 *
 * The grammar of a line is PostgreSQL's: NAME [=] VALUE [# comment], the value bare or in single
 * quotes with '' and backslash escapes. Lines that do not parse are passed through untouched:
 * PostgreSQL says what is wrong with them. */
#include "fs/pgconf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/cleanup.h"

#define SECTION_BEGIN "# --- cowfs: begin (rewritten when a branch is made of this one) ---"
#define SECTION_END "# --- cowfs: end ---"
#define DISABLED "# disabled by cowfs, it leads out of the branch: "

struct line {
	const char *text; /* not ended by NUL */
	size_t len;       /* without the newline */
	char name[128];   /* "" = sets nothing */
	char value[4096];
};

static void parse_quoted(const char *p, const char *end, char *out, size_t size)
{
	size_t n = 0;

	for (; p < end && n + 1 < size; p++) {
		if (*p == '\'') {
			if (p + 1 >= end || p[1] != '\'')
				break;
			p++;
		} else if (*p == '\\' && p + 1 < end) {
			p++;
		}
		out[n++] = *p;
	}
	out[n] = '\0';
}

static void parse_line(struct line *l)
{
	const char *p = l->text, *end = p + l->len, *start;
	size_t n;

	l->name[0] = l->value[0] = '\0';
	while (p < end && isspace((unsigned char)*p))
		p++;
	start = p;
	while (p < end && (isalnum((unsigned char)*p) || *p == '_' || *p == '.'))
		p++;
	n = (size_t)(p - start);
	if (n == 0 || n >= sizeof(l->name))
		return;
	memcpy(l->name, start, n);
	l->name[n] = '\0';
	while (p < end && isspace((unsigned char)*p))
		p++;
	if (p < end && *p == '=')
		p++;
	while (p < end && isspace((unsigned char)*p))
		p++;
	if (p < end && *p == '\'') {
		parse_quoted(p + 1, end, l->value, sizeof(l->value));
		return;
	}
	start = p;
	while (p < end && *p != '#' && !isspace((unsigned char)*p))
		p++;
	n = COW_MIN((size_t)(p - start), sizeof(l->value) - 1);
	memcpy(l->value, start, n);
	l->value[n] = '\0';
}

/* The next line of *text; false at the end. */
static bool next_line(const char **text, struct line *l)
{
	const char *nl;

	if (**text == '\0')
		return false;
	nl = strchr(*text, '\n');
	l->text = *text;
	l->len = nl ? (size_t)(nl - *text) : strlen(*text);
	*text += l->len + (nl ? 1 : 0);
	parse_line(l);
	return true;
}

static bool is(const struct line *l, const char *mark)
{
	return l->len == strlen(mark) && memcmp(l->text, mark, l->len) == 0;
}

bool cow_pgconf_get(const char *text, const char *name, char *ret, size_t size)
{
	struct line l;
	bool found = false;

	while (next_line(&text, &l)) {
		if (strcasecmp(l.name, name) != 0)
			continue;
		snprintf(ret, size, "%s", l.value);
		found = true;
	}
	return found;
}

bool cow_pgconf_is_off(const char *value)
{
	size_t n = strlen(value);

	/* PostgreSQL takes any unambiguous beginning: "f", "fal", "of", "n". */
	return strcmp(value, "0") == 0 || (n >= 1 && strncasecmp(value, "false", n) == 0) ||
	       (n >= 1 && strncasecmp(value, "no", n) == 0) ||
	       (n >= 2 && strncasecmp(value, "off", n) == 0);
}

static char *finish(FILE *f, char **buf)
{
	if (fclose(f) == 0)
		return *buf;
	free(*buf);
	return NULL;
}

/* Copy the lines outside our section, and not of a name in `drop` (may be NULL). */
static void copy_foreign(FILE *f, const char *text, const struct cow_pgconf_list *drop)
{
	struct line l;
	bool ours = false;

	while (next_line(&text, &l)) {
		if (is(&l, SECTION_BEGIN))
			ours = true;
		if (!ours && !(drop && l.name[0] && cow_pgconf_list_get(drop, l.name)))
			fprintf(f, "%.*s\n", (int)l.len, l.text);
		if (is(&l, SECTION_END))
			ours = false;
	}
}

static void put_quoted(FILE *f, const char *value)
{
	fputc('\'', f);
	for (; *value; value++) {
		if (*value == '\'' || *value == '\\')
			fputc(*value, f);
		fputc(*value, f);
	}
	fputc('\'', f);
}

char *cow_pgconf_with_section(const char *text, const struct cow_pgconf_list *l)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);

	if (!f)
		return NULL;
	copy_foreign(f, text, l);
	fputs(SECTION_BEGIN "\n", f);
	for (size_t k = 0; k < l->n; k++) {
		fprintf(f, "%s = ", l->items[k].name);
		put_quoted(f, l->items[k].value);
		fputc('\n', f);
	}
	fputs(SECTION_END "\n", f);
	return finish(f, &buf);
}

char *cow_pgconf_without_section(const char *text)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);

	if (!f)
		return NULL;
	copy_foreign(f, text, NULL);
	return finish(f, &buf);
}

static bool climbs_out(const char *path)
{
	return path[0] == '/' || strcmp(path, "..") == 0 || strncmp(path, "../", 3) == 0 ||
	       strstr(path, "/../") != NULL ||
	       (strlen(path) >= 3 && strcmp(path + strlen(path) - 3, "/..") == 0);
}

static bool leads_outside(const struct line *l)
{
	static const char *const always[] = {"data_directory", "config_file", "external_pid_file"};
	static const char *const paths[] = {"hba_file", "ident_file", "include", "include_dir",
					    "include_if_exists"};

	for (size_t k = 0; k < sizeof(always) / sizeof(always[0]); k++)
		if (strcasecmp(l->name, always[k]) == 0)
			return true;
	for (size_t k = 0; k < sizeof(paths) / sizeof(paths[0]); k++)
		if (strcasecmp(l->name, paths[k]) == 0)
			return climbs_out(l->value);
	return false;
}

char *cow_pgconf_disable_outside(const char *text, size_t *ret_n)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);
	struct line l;

	*ret_n = 0;
	if (!f)
		return NULL;
	while (next_line(&text, &l)) {
		bool bad = leads_outside(&l);

		*ret_n += bad;
		fprintf(f, "%s%.*s\n", bad ? DISABLED : "", (int)l.len, l.text);
	}
	return finish(f, &buf);
}
