// SPDX-License-Identifier: Apache-2.0
/* A difference as a comment of a pull request: a line of counts, a table of objects, the text
 * folded away. Forges cut or refuse long comments (GitHub: 65,536 characters), so it has a limit.
 *
 * Names come from whoever wrote the migration. In the table every character that could be markup
 * becomes a reference; the text stands in a fence longer than any in it. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/schema/schema.h"

#define ROWS_MAX 200
#define CELL_MAX 160

static const char *get(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* At most `max` bytes of text, never half a character. */
static size_t cut(const char *text, size_t max)
{
	size_t n = strlen(text);

	if (n <= max)
		return n;
	for (n = max; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
		n--;
	return n;
}

static void put_code(FILE *f, const char *text)
{
	size_t n = cut(text, CELL_MAX);

	fputs("<code>", f);
	for (size_t k = 0; k < n; k++) {
		unsigned char c = (unsigned char)text[k];

		if (c < 0x20)
			fputc(' ', f);
		else if (c >= 0x80 || isalnum(c) || c == ' ' || c == '.')
			fputc(c, f);
		else
			fprintf(f, "&#%d;", c);
	}
	fprintf(f, "%s</code>", text[n] ? "…" : "");
}

static void put_rows(FILE *f, const json_t *changes)
{
	static const char *const signs[][2] = {
	    {"added", "added"}, {"changed", "changed"}, {"dropped", "**dropped**"}};
	json_t *c;
	size_t k;

	fputs("\n| | kind | name | before | after |\n|---|---|---|---|---|\n", f);
	json_array_foreach (changes, k, c) {
		const char *change = get(c, "change");

		if (k == ROWS_MAX) {
			fprintf(f, "| | | and %zu more | | |\n", json_array_size(changes) - k);
			break;
		}
		for (size_t s = 0; s < 3; s++)
			if (strcmp(signs[s][0], change) == 0)
				change = signs[s][1];
		fprintf(f, "| %s | %s | ", change, get(c, "kind"));
		put_code(f, get(c, "name"));
		fputs(" | ", f);
		if (*get(c, "from"))
			put_code(f, get(c, "from"));
		fputs(" | ", f);
		if (*get(c, "to"))
			put_code(f, get(c, "to"));
		fputs(" |\n", f);
	}
}

static size_t longest_ticks(const char *text)
{
	size_t longest = 0;

	while (*(text += strcspn(text, "`"))) {
		size_t n = strspn(text, "`");

		longest = n > longest ? n : longest;
		text += n;
	}
	return longest;
}

static void put_text(FILE *f, const char *text, size_t room)
{
	size_t ticks = longest_ticks(text) + 1, n = cut(text, room);
	bool whole = !text[n];

	if (ticks < 3)
		ticks = 3;
	while (!whole && n > 0 && text[n - 1] != '\n')
		n--;
	fputs("\n<details><summary>The schemas, as text</summary>\n\n", f);
	for (size_t k = 0; k < ticks; k++)
		fputc('`', f);
	fputs("diff\n", f);
	fwrite(text, 1, n, f);
	for (size_t k = 0; k < ticks; k++)
		fputc('`', f);
	fputs("\n\n", f);
	if (!whole)
		fputs("The rest is too long for a comment.\n\n", f);
	fputs("</details>\n", f);
}

static char *head(const json_t *result)
{
	const json_t *summary = json_object_get(result, "summary");
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	/* What a program looks for that keeps one comment up to date. */
	fputs("<!-- cowfs schema diff -->\n### Schema: ", f);
	put_code(f, get(json_object_get(result, "from"), "branch"));
	fputs(" → ", f);
	put_code(f, get(json_object_get(result, "to"), "branch"));
	fputs(", database ", f);
	put_code(f, get(result, "database"));
	if (json_is_true(json_object_get(result, "equal"))) {
		fputs("\n\nNo difference.\n", f);
		return fclose(f) == 0 ? text : NULL;
	}
	fprintf(f, "\n\n%lld added, %lld changed, %lld dropped\n",
		(long long)json_integer_value(json_object_get(summary, "added")),
		(long long)json_integer_value(json_object_get(summary, "changed")),
		(long long)json_integer_value(json_object_get(summary, "dropped")));
	return fclose(f) == 0 ? text : NULL;
}

static char *table(const json_t *changes)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (f && json_array_size(changes))
		put_rows(f, changes);
	return f && fclose(f) == 0 ? text : NULL;
}

cow_errno schema_markdown(const json_t *result, size_t max, char **ret)
{
	const char *diff = get(result, "diff");
	char *first = head(result), *rows = table(json_object_get(result, "changes"));
	size_t len = 0, used, around = 200 + longest_ticks(diff) * 2;
	FILE *f = first && rows ? open_memstream(ret, &len) : NULL;

	if (!f) {
		free(first);
		free(rows);
		return -ENOMEM;
	}
	fputs(first, f);
	used = strlen(first);
	if (used + strlen(rows) + 100 < max) {
		fputs(rows, f);
		used += strlen(rows);
	} else {
		fputs("\nThe list is too long for a comment.\n", f);
		used += 40;
	}
	if (*diff && used + around < max)
		put_text(f, diff, max - used - around);
	free(first);
	free(rows);
	return fclose(f) == 0 ? 0 : -ENOMEM;
}
