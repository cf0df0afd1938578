// SPDX-License-Identifier: Apache-2.0
/* originals: values of the unmasked source that the image must not hold, and how they are looked
 * for.
 *
 * A value is looked for as the bytes it has in a page:
 *   text of any kind   as it is, in either case of ASCII letters; longer than MATCH_MAX as up to
 * three pieces (begin, middle, end) numeric            its digits in base 10,000, from four of them
 * (13 decimal digits or more) int8, float8, timestamps with a fraction of a second, uuid, macaddr8
 * the eight or 16 bytes json, xml, arrays, composites   the texts in them, one by one (the sampling
 * takes them apart) Only what is rare by itself is looked for: at least `min_length` bytes (never
 * below MATCH_MIN), five different ones, none of them more than half of it. Anything shorter
 * (dates, int4, a first name) is in any database by accident; such columns are proven by comparing
 * rows over SQL (proof_rows.c). Pieces that several values share are boilerplate and are dropped.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/error.h"
#include "tools/golden/residue_match.h"

enum original_form {
	ORIGINAL_TEXT,
	ORIGINAL_NUMERIC,
	ORIGINAL_INT8,
	ORIGINAL_FLOAT8,
	ORIGINAL_BYTES
};

struct golden_table;
struct golden_column;

struct original_column {
	char *database, *table, *column; /* table: schema.table */
	uint64_t sampled;                /* values given */
	uint64_t sought;                 /* of them looked for as bytes */
	uint64_t
	    dropped; /* of them not looked for in the end: the masked data shows them rightly */
	uint64_t compared, unchanged; /* rows compared over SQL; of them with the value they had */
	/* Where it is from; NULL when from elsewhere than a run. Borrowed. */
	const struct golden_table *of;
	const struct golden_column *is;
	/* Rows to compare: literals of text[] (pg_proof.h); NULL = no key that stays. Owned. */
	char *key_columns, *keys, *sums;
};

struct originals;
/* `min_length` 0 = MATCH_MIN. NULL without memory. */
struct originals *originals_new(unsigned min_length);
void originals_free(struct originals *o);

/* A column; *ret is its number. -ENOMEM. */
cow_errno originals_column(struct originals *o, const char *database, const char *table,
			   const char *column, uint32_t *ret);
/* One value of it. For all forms but TEXT and BYTES `value` is how PostgreSQL writes it. Values
 * that are not fit are counted and forgotten. -ENOMEM. */
cow_errno originals_add(struct originals *o, uint32_t column, enum original_form form,
			const char *value, size_t len);

/* Values of TEXT form that are looked for, with their column; stops at a non-zero answer. */
int originals_each(const struct originals *o,
		   int (*each)(void *arg, uint32_t column, const char *value, size_t len),
		   void *arg);
/* Do not look for this value of any column: it is what masking made somewhere. */
void originals_drop(struct originals *o, const char *value, size_t len);

/* Once, after the last drop. -ENOMEM. */
cow_errno originals_ready(struct originals *o);

size_t originals_count(const struct originals *o); /* columns */
struct original_column *originals_get(const struct originals *o, uint32_t column);
const struct matcher *originals_matcher(const struct originals *o); /* ids are columns */
