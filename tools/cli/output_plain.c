// SPDX-License-Identifier: Apache-2.0
/* YAML, shell variables and tab-separated values: small formats for other programs. */
#include "tools/cli/output_formats.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/parse.h"

/* --- YAML --- */

/* Text that no YAML reader takes for anything else may stand without quotes. */
static bool is_plain(const char *s)
{
	static const char *const words[] = {"true", "false", "null", "yes", "no",
					    "on",   "off",   "y",    "n",   "~"};

	if (!isalpha((unsigned char)*s) && *s != '/' && *s != '_')
		return false;
	for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
		if (strcasecmp(s, words[k]) == 0)
			return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_-./@", *s))
			return false;
	return true;
}

static void yaml_scalar(FILE *out, const json_t *value)
{
	char *text;

	if (json_is_string(value) && is_plain(json_string_value(value))) {
		fputs(json_string_value(value), out);
		return;
	}
	/* A JSON scalar is a YAML scalar. */
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_COMPACT);
	fputs(text ? text : "null", out);
	free(text);
}

static void yaml_node(FILE *out, const json_t *value, int depth, bool inline_first);

static void yaml_child(FILE *out, const json_t *value, int depth)
{
	bool nested = (json_is_object(value) && json_object_size(value)) ||
		      (json_is_array(value) && json_array_size(value));

	if (nested) {
		fputc('\n', out);
		yaml_node(out, value, depth + 1, false);
		return;
	}
	fputc(' ', out);
	yaml_scalar(out, value);
	fputc('\n', out);
}

/* `inline_first`: the first key stands behind a "- " that is already written. */
static void yaml_node(FILE *out, const json_t *value, int depth, bool inline_first)
{
	const char *key;
	json_t *v;
	size_t k;

	if (json_is_object(value)) {
		json_object_foreach ((json_t *)value, key, v) {
			json_t *name = json_string(key);

			fprintf(out, "%*s", inline_first ? 0 : depth * 2, "");
			inline_first = false;
			yaml_scalar(out, name);
			json_decref(name);
			fputc(':', out);
			yaml_child(out, v, depth);
		}
		return;
	}
	json_array_foreach (value, k, v) {
		fprintf(out, "%*s-", depth * 2, "");
		if (json_is_object(v) && json_object_size(v)) {
			fputc(' ', out);
			yaml_node(out, v, depth + 1, true);
		} else {
			yaml_child(out, v, depth);
		}
	}
}

void output_yaml(FILE *out, const json_t *value)
{
	if (json_object_size(value) == 0 && json_array_size(value) == 0) {
		fputs(json_is_array(value) ? "[]\n" : "{}\n", out);
		return;
	}
	yaml_node(out, value, 0, false);
}

/* --- shell variables --- */

static void env_value(FILE *out, const char *text)
{
	fputc('\'', out);
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else
			fputc(*text, out);
	}
	fputs("'\n", out);
}

static void env_pair(const struct output *o, const char *prefix, const char *key, const char *fixed,
		     const json_t *value)
{
	char *text;

	if (json_is_object(value) || json_is_array(value))
		return;
	text = output_cell(value, OUTPUT_TEXT, true);
	if (json_is_null(value) && text)
		text[0] = '\0';
	if (fixed) {
		fputs(fixed, o->out);
	} else {
		fputs(prefix, o->out);
		for (; *key; key++)
			fputc(isalnum((unsigned char)*key) ? toupper((unsigned char)*key) : '_',
			      o->out);
	}
	fputc('=', o->out);
	env_value(o->out, text ? text : "");
	free(text);
}

static const char *fixed_name(const struct output_spec *spec, const char *key)
{
	for (const struct output_column *c = spec->columns; c->key; c++)
		if (strcmp(c->key, key) == 0)
			return c->env;
	return NULL;
}

void output_env(const struct output *o, const json_t *result, const struct output_spec *spec)
{
	const char *key;
	json_t *row, *v;
	size_t k;

	json_object_foreach ((json_t *)result, key, v)
		env_pair(o, "COWFS_", key, spec->rows ? NULL : fixed_name(spec, key), v);
	if (!spec->rows)
		return;
	json_array_foreach (json_object_get(result, spec->rows), k, row) {
		char prefix[40];

		snprintf(prefix, sizeof(prefix), "COWFS_%zu_", k);
		json_object_foreach (row, key, v)
			env_pair(o, prefix, key, NULL, v);
	}
}

/* --- tab-separated values --- */

static void tsv_cell(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\t')
			fputs("\\t", out);
		else if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '\\')
			fputs("\\\\", out);
		else
			fputc(*text, out);
	}
}

static void tsv_row(const struct output *o, const json_t *row, const struct output_spec *spec)
{
	for (const struct output_column *c = spec->columns; c->key; c++) {
		const json_t *value = json_object_get(row, c->key);
		char *text =
		    json_is_null(value) || !value ? NULL : output_cell(value, c->kind, true);

		if (c != spec->columns)
			fputc('\t', o->out);
		tsv_cell(o->out, text ? text : "");
		free(text);
	}
	fputc('\n', o->out);
}

void output_tsv(const struct output *o, const json_t *result, const struct output_spec *spec)
{
	json_t *row;
	size_t k;

	if (!o->no_header) {
		for (const struct output_column *c = spec->columns; c->key; c++)
			fprintf(o->out, "%s%s", c == spec->columns ? "" : "\t", c->key);
		fputc('\n', o->out);
	}
	if (!spec->rows) {
		tsv_row(o, result, spec);
		return;
	}
	json_array_foreach (json_object_get(result, spec->rows), k, row)
		tsv_row(o, row, spec);
}
