// SPDX-License-Identifier: Apache-2.0
/* output_formats: one function per format; only output.c chooses between them. */
#pragma once
#include "tools/cli/output.h"

/* Columns by libsmartcols; a tree when the spec says so; "Title: value" lines for one record. */
cow_errno output_table(const struct output *o, const json_t *result,
		       const struct output_spec *spec);

/* The whole result. Strings are quoted unless they are plain words. */
void output_yaml(FILE *out, const json_t *value);

/* KEY=value of every scalar, quoted for a POSIX shell; rows are numbered COWFS_0_NAME,
 * COWFS_1_NAME... */
void output_env(const struct output *o, const json_t *result, const struct output_spec *spec);

/* The columns of the spec, exact, separated by tabs; tab, newline and backslash are escaped. */
void output_tsv(const struct output *o, const json_t *result, const struct output_spec *spec);
