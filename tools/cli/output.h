// SPDX-License-Identifier: Apache-2.0
/* output: one result, printed the way the user asked for.
 *
 * A command hands over the JSON result of its verb and says which keys make the table. JSON and
 * YAML print the result as it is: sizes are integers in bytes, times RFC 3339 UTC. Tables are for
 * people: sizes in KiB/MiB/GiB, times as ages. Data goes to `out`, normally stdout; nothing else
 * ever does. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "store/error.h"

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML, OUTPUT_ENV, OUTPUT_TSV };

struct output {
	FILE *out;
	enum output_format format;
	bool quiet;     /* only the value of the first column, one per line */
	bool no_header; /* tables and tsv without their first line */
	bool bytes;     /* tables show exact numbers and times */
};

enum output_kind {
	OUTPUT_TEXT,
	OUTPUT_NUMBER,
	OUTPUT_BYTES,  /* 1536 -> 1.5 KiB */
	OUTPUT_AGE,    /* an RFC 3339 time -> "3 min ago" */
	OUTPUT_BOOL,   /* yes, no */
	OUTPUT_LABELS, /* array of text -> [default] [poisoned] */
	OUTPUT_WORDS,  /* object of text -> key word, key word */
};

struct output_column {
	const char *key;   /* in the JSON object of a row */
	const char *title; /* in the table */
	enum output_kind kind;
	const char *env; /* name with -o env; NULL: COWFS_<KEY> */
};

struct output_spec {
	/* Key of the array in the result that makes the rows; NULL: the result is one record,
	 * printed as one "Title: value" line per column. */
	const char *rows;
	const struct output_column *columns; /* ends with key NULL */
	const char *tree_id, *tree_parent;   /* keys; when set, rows hang below their parent */
};

/* "table", "json", ... to a format; -EINVAL. */
cow_errno output_parse_format(const char *word, enum output_format *ret);

/* -EIO: writing failed; a closed pipe is not an error. */
cow_errno output_print(const struct output *o, const json_t *result,
		       const struct output_spec *spec);

/* "1.5 KiB", "0 B". */
void output_bytes(uint64_t bytes, char *buf, size_t size);

/* The value of one cell as a table shows it; result is allocated, NULL only without memory. */
char *output_cell(const json_t *value, enum output_kind kind, bool exact);
