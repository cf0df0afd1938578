// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/originals.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>
#include <string.h>

#include "store/cleanup.h"

#define DISTINCT_MIN 5u
#define PIECES 3u

struct value {
	uint32_t column, len;
	enum original_form form;
	bool dropped;
	char *bytes;
};

struct piece {
	const uint8_t *bytes;
	size_t len;
	uint32_t value; /* number of it */
};

struct originals {
	struct original_column *columns;
	size_t n_columns, columns_room;
	struct value *values;
	size_t n, room;
	unsigned min_length;
	struct matcher *matcher;
};

struct originals *originals_new(unsigned min_length)
{
	struct originals *o = calloc(1, sizeof(*o));

	if (o)
		o->min_length = COW_MAX(min_length, MATCH_MIN);
	return o;
}

void originals_free(struct originals *o)
{
	if (!o)
		return;
	for (size_t k = 0; k < o->n_columns; k++) {
		free(o->columns[k].database);
		free(o->columns[k].table);
		free(o->columns[k].column);
		free(o->columns[k].key_columns);
		free(o->columns[k].keys);
		free(o->columns[k].sums);
	}
	for (size_t k = 0; k < o->n; k++)
		free(o->values[k].bytes);
	matcher_free(o->matcher);
	free(o->columns);
	free(o->values);
	free(o);
}

cow_errno originals_column(struct originals *o, const char *database, const char *table,
			   const char *column, uint32_t *ret)
{
	struct original_column c = {
	    .database = strdup(database), .table = strdup(table), .column = strdup(column)};

	if (o->n_columns == o->columns_room) {
		size_t larger = o->columns_room ? o->columns_room * 2 : 32;
		struct original_column *fresh = reallocarray(o->columns, larger, sizeof(*fresh));

		if (fresh) {
			o->columns = fresh;
			o->columns_room = larger;
		}
	}
	if (!c.database || !c.table || !c.column || o->n_columns == o->columns_room) {
		free(c.database);
		free(c.table);
		free(c.column);
		return -ENOMEM;
	}
	o->columns[o->n_columns] = c;
	*ret = (uint32_t)o->n_columns++;
	return 0;
}

/* --- from text to the bytes of a page --- */

/* Rare enough to be evidence. */
static bool is_rare(const uint8_t *bytes, size_t len)
{
	unsigned count[256] = {0}, distinct = 0, most = 0;

	for (size_t k = 0; k < len; k++) {
		unsigned c = bytes[k] >= 'A' && bytes[k] <= 'Z' ? bytes[k] | 0x20 : bytes[k];

		if (++count[c] == 1)
			distinct++;
		most = COW_MAX(most, count[c]);
	}
	return distinct >= DISTINCT_MIN && most * 2 <= len + 1;
}

/* The digits of a numeric in base 10,000, as it is stored: from the first that is not zero to the
 * last. Returns bytes. */
static size_t numeric_bytes(const char *text, size_t len, uint8_t *out, size_t size)
{
	const char *point, *end = text + len;
	size_t whole, n = 0;
	char digits[512] = {0};
	size_t d = 0;

	if (len && *text == '-')
		text++;
	point = memchr(text, '.', (size_t)(end - text));
	whole = (size_t)((point ? point : end) - text);
	if (whole == 0 || (size_t)(end - text) + 8 > sizeof(digits))
		return 0;
	/* Groups of four count from the point. */
	for (size_t k = 0; k < (4 - whole % 4) % 4; k++)
		digits[d++] = '0';
	for (const char *p = text; p < end; p++) {
		if (*p == '.')
			continue;
		if (!isdigit((unsigned char)*p))
			return 0;
		digits[d++] = *p;
	}
	while (d % 4)
		digits[d++] = '0';
	for (size_t k = 0; k < d && n + 2 <= size; k += 4) {
		uint16_t group = (uint16_t)((digits[k] - '0') * 1000 + (digits[k + 1] - '0') * 100 +
					    (digits[k + 2] - '0') * 10 + digits[k + 3] - '0');

		if (n == 0 && group == 0)
			continue;
		memcpy(out + n, &group, 2);
		n += 2;
	}
	while (n >= 2 && out[n - 1] == 0 && out[n - 2] == 0)
		n -= 2;
	return n;
}

static size_t convert(enum original_form form, const char *text, size_t len, uint8_t *out,
		      size_t size)
{
	char copy[64], *end;
	long long number;
	double real;

	if (form == ORIGINAL_NUMERIC)
		return numeric_bytes(text, len, out, size);
	if (len == 0 || len >= sizeof(copy))
		return 0;
	memcpy(copy, text, len);
	copy[len] = '\0';
	errno = 0;
	if (form == ORIGINAL_INT8) {
		number = strtoll(copy, &end, 10);
		memcpy(out, &number, 8);
	} else {
		real = strtod(copy, &end);
		memcpy(out, &real, 8);
	}
	return errno || *end ? 0 : 8;
}

cow_errno originals_add(struct originals *o, uint32_t column, enum original_form form,
			const char *value, size_t len)
{
	uint8_t binary[512];
	struct value v = {.column = column, .form = form};
	const void *bytes = value;

	o->columns[column].sampled++;
	if (form != ORIGINAL_TEXT && form != ORIGINAL_BYTES) {
		len = convert(form, value, len, binary, sizeof(binary));
		bytes = binary;
	}
	if (len < o->min_length || len > UINT32_MAX / 2 || !is_rare(bytes, len))
		return 0;
	if (o->n == o->room) {
		size_t larger = o->room ? o->room * 2 : 1024;
		struct value *fresh = reallocarray(o->values, larger, sizeof(*fresh));

		if (!fresh)
			return -ENOMEM;
		o->values = fresh;
		o->room = larger;
	}
	v.bytes = malloc(len);
	if (!v.bytes)
		return -ENOMEM;
	memcpy(v.bytes, bytes, len);
	v.len = (uint32_t)len;
	o->values[o->n++] = v;
	o->columns[column].sought++;
	return 0;
}

int originals_each(const struct originals *o,
		   int (*each)(void *arg, uint32_t column, const char *value, size_t len),
		   void *arg)
{
	int stop = 0;

	for (size_t k = 0; stop == 0 && k < o->n; k++)
		if (o->values[k].form == ORIGINAL_TEXT && !o->values[k].dropped)
			stop = each(arg, o->values[k].column, o->values[k].bytes, o->values[k].len);
	return stop;
}

void originals_drop(struct originals *o, const char *value, size_t len)
{
	for (size_t k = 0; k < o->n; k++) {
		struct value *v = &o->values[k];

		if (v->dropped || v->len != len || strncasecmp(v->bytes, value, len) != 0)
			continue;
		v->dropped = true;
		o->columns[v->column].dropped++;
	}
}

/* --- patterns --- */

static size_t pieces_of(const struct originals *o, uint32_t number, struct piece *out)
{
	const struct value *v = &o->values[number];
	const uint8_t *b = (const uint8_t *)v->bytes;
	size_t n = 0, at[PIECES] = {0};

	if (v->len <= MATCH_MAX) {
		out[n++] = (struct piece){b, v->len, number};
		return n;
	}
	at[1] = (v->len - MATCH_MAX) / 2;
	at[2] = v->len - MATCH_MAX;
	for (size_t k = 0; k < PIECES; k++)
		if (is_rare(b + at[k], MATCH_MAX))
			out[n++] = (struct piece){b + at[k], MATCH_MAX, number};
	return n;
}

static int by_bytes(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	int d = memcmp(x->bytes, y->bytes, COW_MIN(x->len, y->len));

	return d ? d : x->len < y->len ? -1 : x->len > y->len;
}

/* Whether it is all of the value, and not a piece of a longer one. */
static bool is_all(const struct originals *o, const struct piece *p)
{
	return o->values[p->value].len == p->len;
}

static cow_errno add_pieces(struct originals *o, struct piece *p, size_t n)
{
	qsort(p, n, sizeof(*p), by_bytes);
	for (size_t k = 0; k < n;) {
		size_t same = k + 1;
		bool all = is_all(o, &p[k]);
		cow_errno r;

		for (; same < n && by_bytes(&p[k], &p[same]) == 0; same++)
			all = all || is_all(o, &p[same]);
		/* Several values with one piece: the words of a form. A whole value is none. */
		if (same == k + 1 || all) {
			const struct value *v = &o->values[p[k].value];

			r = matcher_add(o->matcher, p[k].bytes, p[k].len, v->form == ORIGINAL_TEXT,
					v->column);
			if (r < 0)
				return r;
		}
		k = same;
	}
	return 0;
}

cow_errno originals_ready(struct originals *o)
{
	CLEANUP_FREE struct piece *p = calloc(o->n * PIECES + 1, sizeof(*p));
	size_t n = 0;
	cow_errno r;

	o->matcher = matcher_new();
	if (!p || !o->matcher)
		return -ENOMEM;
	for (uint32_t k = 0; k < o->n; k++)
		if (!o->values[k].dropped)
			n += pieces_of(o, k, p + n);
	r = add_pieces(o, p, n);
	return r < 0 ? r : matcher_ready(o->matcher);
}

size_t originals_count(const struct originals *o)
{
	return o->n_columns;
}

struct original_column *originals_get(const struct originals *o, uint32_t column)
{
	return &o->columns[column];
}

const struct matcher *originals_matcher(const struct originals *o)
{
	return o->matcher;
}
