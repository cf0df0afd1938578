// SPDX-License-Identifier: Apache-2.0
/* The choice of format, JSON, and the text of single cells. Tables are in output_table.c, the
 * formats for other programs in output_plain.c. */
#include "tools/cli/output.h"
#include "tools/cli/output_formats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/cli/parse.h"

static const struct {
	const char *word;
	enum output_format format;
} formats[] = {
    {"table", OUTPUT_TABLE}, {"json", OUTPUT_JSON}, {"yaml", OUTPUT_YAML},
    {"env", OUTPUT_ENV},     {"tsv", OUTPUT_TSV},
};

cow_errno output_parse_format(const char *word, enum output_format *ret)
{
	for (size_t k = 0; k < sizeof(formats) / sizeof(formats[0]); k++) {
		if (strcmp(word, formats[k].word) == 0) {
			*ret = formats[k].format;
			return 0;
		}
	}
	return -EINVAL;
}

void output_bytes(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1023.95 && u + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		u++;
	}
	if (u == 0)
		snprintf(buf, size, "%" PRIu64 " B", bytes);
	else
		snprintf(buf, size, "%.*f %s", v < 99.95 ? 1 : 0, v, units[u]);
}

static void format_age(const char *text, char *buf, size_t size)
{
	static const struct {
		int64_t seconds;
		const char *word;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	struct timespec now;
	int64_t then, age;

	if (parse_time(text, &then, NULL) < 0) {
		snprintf(buf, size, "%s", text);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	age = now.tv_sec - then / 1000000000;
	for (size_t k = 0; k < sizeof(units) / sizeof(units[0]); k++) {
		int64_t n = (age < 0 ? -age : age) / units[k].seconds;

		if (n == 0)
			continue;
		snprintf(buf, size, age < 0 ? "in %" PRId64 " %s" : "%" PRId64 " %s ago", n,
			 units[k].word);
		return;
	}
	snprintf(buf, size, "now");
}

/* ["default","poisoned"] -> "[default] [poisoned]" */
static char *format_labels(const json_t *labels)
{
	char *text = NULL;
	size_t k, size = 0;
	json_t *v;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	json_array_foreach (labels, k, v)
		fprintf(f, "%s[%s]", k ? " " : "", json_string_value(v));
	return fclose(f) == 0 ? text : NULL;
}

/* {"workers":"off"} -> "workers off" */
static char *format_words(json_t *words)
{
	char *text = NULL;
	const char *key;
	size_t size = 0, k = 0;
	json_t *v;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	json_object_foreach (words, key, v)
		fprintf(f, "%s%s %s", k++ ? ", " : "", key, json_string_value(v));
	return fclose(f) == 0 ? text : NULL;
}

static char *scalar_text(const json_t *value)
{
	char buf[64];

	switch (json_typeof(value)) {
	case JSON_STRING:
		return strdup(json_string_value(value));
	case JSON_INTEGER:
		snprintf(buf, sizeof(buf), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return strdup(buf);
	case JSON_REAL:
		snprintf(buf, sizeof(buf), "%g", json_real_value(value));
		return strdup(buf);
	case JSON_TRUE:
		return strdup("true");
	case JSON_FALSE:
		return strdup("false");
	case JSON_NULL:
		return strdup("");
	default:
		return json_dumps(value, JSON_COMPACT);
	}
}

char *output_cell(const json_t *value, enum output_kind kind, bool exact)
{
	char buf[64];

	if (!value || json_is_null(value))
		return strdup(kind == OUTPUT_LABELS ? "" : "-");
	if (kind == OUTPUT_LABELS && json_is_array(value))
		return format_labels(value);
	if (kind == OUTPUT_WORDS && json_is_object(value))
		return format_words((json_t *)value);
	if (kind == OUTPUT_BOOL)
		return strdup(json_is_true(value) ? "yes" : "no");
	if (kind == OUTPUT_BYTES && !exact && json_is_integer(value)) {
		output_bytes((uint64_t)json_integer_value(value), buf, sizeof(buf));
		return strdup(buf);
	}
	if (kind == OUTPUT_AGE && !exact && json_is_string(value)) {
		format_age(json_string_value(value), buf, sizeof(buf));
		return strdup(buf);
	}
	return scalar_text(value);
}

static void print_names(const struct output *o, const json_t *result,
			const struct output_spec *spec)
{
	json_t *rows = spec->rows ? json_object_get(result, spec->rows) : NULL;
	json_t *row;
	size_t k;

	json_array_foreach (rows, k, row) {
		char *text =
		    output_cell(json_object_get(row, spec->columns[0].key), OUTPUT_TEXT, true);

		fprintf(o->out, "%s\n", text ? text : "");
		free(text);
	}
	if (!spec->rows) {
		char *text =
		    output_cell(json_object_get(result, spec->columns[0].key), OUTPUT_TEXT, true);

		fprintf(o->out, "%s\n", text ? text : "");
		free(text);
	}
}

static cow_errno print_json(const struct output *o, const json_t *result)
{
	int r = json_dumpf(result, o->out, JSON_INDENT(2) | JSON_ENSURE_ASCII);

	fputc('\n', o->out);
	return r < 0 ? -EIO : 0;
}

cow_errno output_print(const struct output *o, const json_t *result, const struct output_spec *spec)
{
	cow_errno r = 0;

	if (o->format == OUTPUT_JSON)
		r = print_json(o, result);
	else if (o->format == OUTPUT_YAML)
		output_yaml(o->out, result);
	else if (!spec)
		return 0;
	else if (o->quiet && o->format == OUTPUT_TABLE)
		print_names(o, result, spec);
	else if (o->format == OUTPUT_ENV)
		output_env(o, result, spec);
	else if (o->format == OUTPUT_TSV)
		output_tsv(o, result, spec);
	else
		r = output_table(o, result, spec);
	if (fflush(o->out) != 0 && errno != EPIPE)
		r = -EIO;
	return r;
}
