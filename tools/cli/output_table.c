// SPDX-License-Identifier: Apache-2.0
/* Tables and trees for people, drawn by libsmartcols (the only file that includes it). */
#include "tools/cli/output_formats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libsmartcols.h>

struct drawing {
	const struct output *o;
	const struct output_spec *spec;
	struct libscols_table *table;
	json_t *rows;
	struct libscols_line **lines; /* one per row; NULL = not drawn yet */
};

static int column_flags(const struct output_spec *spec, const struct output_column *c)
{
	int flags = 0;

	if (c->kind == OUTPUT_BYTES || c->kind == OUTPUT_NUMBER)
		flags |= SCOLS_FL_RIGHT;
	if (spec->tree_id && c == spec->columns)
		flags |= SCOLS_FL_TREE;
	return flags;
}

static cow_errno add_columns(struct drawing *d)
{
	for (const struct output_column *c = d->spec->columns; c->key; c++)
		if (!scols_table_new_column(d->table, c->title, 0, column_flags(d->spec, c)))
			return -ENOMEM;
	return 0;
}

static size_t row_of(const struct drawing *d, const json_t *id)
{
	json_t *row;
	size_t k;

	if (json_is_string(id)) {
		json_array_foreach (d->rows, k, row)
			if (json_equal(json_object_get(row, d->spec->tree_id), id))
				return k;
	}
	return json_array_size(d->rows);
}

/* Draws the parent first; `depth` stops a circle that only damaged data could make. */
static cow_errno add_row(struct drawing *d, size_t k, size_t depth)
{
	const json_t *row = json_array_get(d->rows, k);
	struct libscols_line *above = NULL;
	size_t n = 0;

	if (d->lines[k])
		return 0;
	if (d->spec->tree_id && depth < json_array_size(d->rows)) {
		size_t up = row_of(d, json_object_get(row, d->spec->tree_parent));

		if (up < json_array_size(d->rows)) {
			cow_errno r = add_row(d, up, depth + 1);

			if (r < 0)
				return r;
			above = d->lines[up];
		}
	}
	if (d->lines[k])
		return 0;
	d->lines[k] = scols_table_new_line(d->table, above);
	if (!d->lines[k])
		return -ENOMEM;
	for (const struct output_column *c = d->spec->columns; c->key; c++, n++) {
		char *text = output_cell(json_object_get(row, c->key), c->kind, d->o->bytes);

		if (!text || scols_line_refer_data(d->lines[k], n, text) < 0) {
			free(text);
			return -ENOMEM;
		}
	}
	return 0;
}

static cow_errno print_rows(struct drawing *d)
{
	cow_errno r = add_columns(d);

	d->lines = calloc(json_array_size(d->rows) + 1, sizeof(*d->lines));
	if (!d->lines)
		return -ENOMEM;
	for (size_t k = 0; r == 0 && k < json_array_size(d->rows); k++)
		r = add_row(d, k, 0);
	if (r < 0)
		return r;
	scols_table_enable_noheadings(d->table, d->o->no_header);
	scols_table_set_stream(d->table, d->o->out);
	return scols_print_table(d->table) < 0 ? -EIO : 0;
}

/* One record: a line per column, titles aligned. */
static cow_errno print_record(const struct output *o, const json_t *result,
			      const struct output_spec *spec)
{
	size_t width = 0;

	for (const struct output_column *c = spec->columns; c->key; c++)
		if (strlen(c->title) > width)
			width = strlen(c->title);
	for (const struct output_column *c = spec->columns; c->key; c++) {
		const json_t *value = json_object_get(result, c->key);
		char *text;

		if (!value)
			continue;
		text = output_cell(value, c->kind, o->bytes);
		if (!text)
			return -ENOMEM;
		fprintf(o->out, "%-*s  %s\n", (int)width, c->title, text);
		free(text);
	}
	return 0;
}

cow_errno output_table(const struct output *o, const json_t *result, const struct output_spec *spec)
{
	struct drawing d = {.o = o, .spec = spec};
	cow_errno r;

	if (!spec->rows)
		return print_record(o, result, spec);
	d.rows = json_object_get(result, spec->rows);
	if (json_array_size(d.rows) == 0)
		return 0;
	d.table = scols_new_table();
	if (!d.table)
		return -ENOMEM;
	r = print_rows(&d);
	free(d.lines);
	scols_unref_table(d.table);
	return r;
}
