// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/relmap.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"

#define PAGE 8192u
#define LINE_POINTERS 24u /* where they begin */
#define STATISTICS "pg_catalog.pg_statistic"

struct relmap {
	struct relmap_relation *relations; /* by path */
	size_t n, room;
};

struct relmap *relmap_new(void)
{
	return calloc(1, sizeof(struct relmap));
}

static void release(struct relmap_relation *r)
{
	for (size_t k = 0; k < r->n_columns; k++)
		free(r->columns[k].name);
	free(r->columns);
	free(r->path);
	free(r->database);
	free(r->name);
	free(r->table);
}

void relmap_free(struct relmap *m)
{
	for (size_t k = 0; m && k < m->n; k++)
		release(&m->relations[k]);
	if (m)
		free(m->relations);
	free(m);
}

cow_errno relmap_add(struct relmap *m, const struct relmap_relation *r)
{
	struct relmap_relation copy = *r;

	copy.path = strdup(r->path);
	copy.database = strdup(r->database);
	copy.name = strdup(r->name);
	copy.table = strdup(r->table);
	if (m->n == m->room) {
		size_t larger = m->room ? m->room * 2 : 512;
		struct relmap_relation *fresh = reallocarray(m->relations, larger, sizeof(*fresh));

		if (fresh) {
			m->relations = fresh;
			m->room = larger;
		}
	}
	if (!copy.path || !copy.database || !copy.name || !copy.table || m->n == m->room) {
		release(&copy);
		return -ENOMEM;
	}
	m->relations[m->n++] = copy;
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct relmap_relation *)a)->path,
		      ((const struct relmap_relation *)b)->path);
}

void relmap_ready(struct relmap *m)
{
	if (m->n)
		qsort(m->relations, m->n, sizeof(*m->relations), by_path);
}

bool relmap_split(const char *file, char *ret, size_t size, uint32_t *ret_segment, bool *ret_main)
{
	const char *name = strrchr(file, '/'), *p;
	size_t digits;

	if (!name || (strncmp(file, "base/", 5) != 0 && strncmp(file, "global/", 7) != 0 &&
		      strncmp(file, "pg_tblspc/", 10) != 0))
		return false;
	name++;
	/* t3_16384: a temporary relation. */
	if (*name == 't' && (p = strchr(name, '_')))
		name = p + 1;
	digits = strspn(name, "0123456789");
	if (digits == 0 || (size_t)(name - file) + digits >= size)
		return false;
	snprintf(ret, size, "%.*s", (int)((size_t)(name - file) + digits), file);
	p = name + digits;
	*ret_main = *p != '_';
	if (*p == '_') {
		p++;
		while (islower((unsigned char)*p))
			p++;
	}
	*ret_segment = 0;
	if (*p == '.')
		*ret_segment = (uint32_t)strtoul(p + 1, (char **)&p, 10);
	return *p == '\0';
}

const struct relmap_relation *relmap_find(const struct relmap *m, const char *file)
{
	char path[512];
	struct relmap_relation key = {.path = path};
	uint32_t segment;
	bool main_fork;

	if (!m || !m->n || !relmap_split(file, path, sizeof(path), &segment, &main_fork))
		return NULL;
	return bsearch(&key, m->relations, m->n, sizeof(*m->relations), by_path);
}

const struct relmap_relation *relmap_find_oid(const struct relmap *m, const char *database,
					      uint32_t oid)
{
	for (size_t k = 0; m && k < m->n; k++)
		if (m->relations[k].oid == oid && strcmp(m->relations[k].database, database) == 0)
			return &m->relations[k];
	return NULL;
}

/* --- inside a page --- */

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The tuple that `at` is in, by the line pointers. */
static bool find_tuple(const uint8_t *page, size_t at, size_t *ret_from, size_t *ret_len)
{
	size_t end = COW_MIN((size_t)get16(page + 12), (size_t)PAGE - 4);

	for (size_t k = LINE_POINTERS; k + 4 <= end; k += 4) {
		uint32_t pointer = get32(page + k);
		size_t from = pointer & 0x7fff, len = pointer >> 17;

		if (len && at >= from && at < from + len && from + len <= PAGE) {
			*ret_from = from;
			*ret_len = len;
			return true;
		}
	}
	return false;
}

static size_t aligned(size_t at, char align)
{
	size_t to = align == 'd' ? 8 : align == 'i' ? 4 : align == 's' ? 2 : 1;

	return (at + to - 1) / to * to;
}

/* Bytes of a value at t + at; 0 = it does not fit. */
static size_t value_length(const uint8_t *t, size_t at, size_t len, const struct relmap_column *c)
{
	size_t n = (size_t)c->len;

	if (c->len == -2)
		n = strnlen((const char *)t + at, len - at) + 1;
	else if (c->len == -1 && t[at] == 1)
		n = 18; /* a pointer to TOAST */
	else if (c->len == -1 && (t[at] & 1))
		n = t[at] >> 1;
	else if (c->len == -1)
		n = at + 4 <= len ? get32(t + at) >> 2 : 0;
	return n && n <= len - at ? n : 0;
}

/* The column of a heap tuple that `at` (from its begin) is in; NULL = unknown. */
static const struct relmap_column *column_at(const struct relmap_relation *r, const uint8_t *t,
					     size_t len, size_t at)
{
	size_t natts = get16(t + 18) & 0x7ff, pos = t[22];
	bool nulls = get16(t + 20) & 1;

	for (size_t k = 0; k < COW_MIN(natts, r->n_columns) && pos < len; k++) {
		const struct relmap_column *c = &r->columns[k];
		size_t n;

		if (nulls && !(t[23 + k / 8] >> (k % 8) & 1))
			continue;
		/* A short value is not aligned; what pads is zero, and no header is. */
		if (c->len != -1 || t[pos] == 0)
			pos = aligned(pos, c->align);
		n = pos < len ? value_length(t, pos, len, c) : 0;
		if (n == 0)
			return NULL;
		if (at < pos + n)
			return at >= pos && !c->dropped ? c : NULL;
		pos += n;
	}
	return NULL;
}

/* Rows of pg_statistic say whose values they hold: starelid oid, staattnum int2. */
static void statistics_spot(const struct relmap *m, const uint8_t *t, struct relmap_spot *ret)
{
	const struct relmap_relation *r =
	    relmap_find_oid(m, ret->relation->database, get32(t + t[22]));
	size_t number = get16(t + t[22] + 4);

	if (!r || r->kind == 'i' || r->kind == 'I')
		r = r ? relmap_find_oid(m, ret->relation->database, r->oid) : NULL;
	if (!r)
		return;
	ret->how = "statistics";
	snprintf(ret->table, sizeof(ret->table), "%s", r->table);
	if (number >= 1 && number <= r->n_columns)
		snprintf(ret->column, sizeof(ret->column), "%s", r->columns[number - 1].name);
}

void relmap_spot(const struct relmap *m, const char *file, const uint8_t *page, size_t at,
		 struct relmap_spot *ret)
{
	const struct relmap_relation *r = relmap_find(m, file);
	size_t from, len;

	*ret = (struct relmap_spot){.relation = r, .how = ""};
	if (!r)
		return;
	snprintf(ret->table, sizeof(ret->table), "%s", r->table);
	if (r->kind == 'i')
		ret->how = "index";
	else if (r->kind == 't')
		ret->how = "TOAST";
	if (!page || r->kind == 'i' || r->kind == 't' || !find_tuple(page, at, &from, &len) ||
	    len < 32 || page[from + 22] + 6u > len)
		return;
	if (strcmp(r->name, STATISTICS) == 0) {
		statistics_spot(m, page + from, ret);
	} else {
		const struct relmap_column *c = column_at(r, page + from, len, at - from);

		if (c)
			snprintf(ret->column, sizeof(ret->column), "%s", c->name);
	}
}

/* --- the allow-list --- */

/* `entry` is schema.table.column with this column of the spot's table. */
static bool is_column(const char *entry, const struct relmap_spot *s, const char *column)
{
	size_t n = strlen(s->table);

	return strncmp(entry, s->table, n) == 0 && entry[n] == '.' &&
	       strcmp(entry + n + 1, column) == 0;
}

/* An index holds values of its columns, a TOAST table those of any wide column: of an index one
 * column is enough, because the others are found in their table as well; of TOAST all must be
 * allowed. */
static bool parts_allowed(const struct relmap_spot *s, const char *entry)
{
	const struct relmap_relation *r = s->relation;

	for (size_t k = 0; r->kind == 'i' && k < r->n_columns; k++)
		if (is_column(entry, s, r->columns[k].name))
			return true;
	return false;
}

bool relmap_allowed(const struct relmap_spot *s, const char *const *allow)
{
	if (!s->relation || !s->table[0])
		return false;
	for (; allow && *allow; allow++) {
		if (strcmp(*allow, s->table) == 0 ||
		    (s->column[0] && is_column(*allow, s, s->column)) || parts_allowed(s, *allow))
			return true;
	}
	return false;
}

void relmap_describe(const struct relmap_spot *s, char *buf, size_t size)
{
	const struct relmap_relation *r = s->relation;

	buf[0] = '\0';
	if (!r)
		return;
	if (strcmp(s->how, "index") == 0)
		snprintf(buf, size, "index %s (%s)", r->name, s->table);
	else if (s->how[0])
		snprintf(buf, size, "%s of %s%s%s", s->how, s->table, s->column[0] ? "." : "",
			 s->column);
	else
		snprintf(buf, size, "%s%s%s", s->table, s->column[0] ? "." : "", s->column);
	if (r->database[0]) {
		size_t n = strlen(buf);

		snprintf(buf + n, size - n, " in database %s", r->database);
	}
}
