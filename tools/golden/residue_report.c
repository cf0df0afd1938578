// SPDX-License-Identifier: Apache-2.0
/* residue_report: every byte of the scan comes through here, and what is found becomes a hit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/cleanup.h"
#include "tools/golden/originals.h"
#include "tools/golden/relmap.h"
#include "tools/golden/residue_parts.h"

/* One call of reader_bytes. */
struct look {
	struct reader *r;
	size_t seen;
};

/* --- covers --- */

void reader_cover(struct reader *r, uint64_t from, uint64_t to)
{
	if (r->n_covered == r->covered_room) {
		size_t larger = r->covered_room ? r->covered_room * 2 : 256;
		struct covered *fresh = reallocarray(r->covered, larger, sizeof(*fresh));

		/* Without memory detectors see a little more than they should. */
		if (!fresh)
			return;
		r->covered = fresh;
		r->covered_room = larger;
	}
	r->covered[r->n_covered++] = (struct covered){from, to};
	r->covered_sorted = false;
}

void reader_uncover(struct reader *r, uint64_t from)
{
	size_t kept = 0;

	for (size_t k = 0; k < r->n_covered; k++)
		if (r->covered[k].to > from)
			r->covered[kept++] = r->covered[k];
	r->n_covered = kept;
}

static int by_begin(const void *a, const void *b)
{
	const struct covered *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

/* Covers do not overlap but for one in another (a packed value in a chunk): the last that begins
 * before `at`, or the one before it, decides. */
static bool is_covered(struct reader *r, uint64_t at)
{
	size_t low = 0, high = r->n_covered;

	if (!r->covered_sorted && r->n_covered)
		qsort(r->covered, r->n_covered, sizeof(*r->covered), by_begin);
	r->covered_sorted = true;
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (r->covered[mid].from <= at)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t k = low; k > 0 && k + 2 > low; k--)
		if (at < r->covered[k - 1].to)
			return true;
	return false;
}

bool reader_may_have_chunks(const struct reader *r)
{
	const struct relmap_relation *l = relmap_find(r->scan->how->relations, r->path);

	return !l || l->kind == 't' || strcmp(l->name, "pg_catalog.pg_largeobject") == 0;
}

/* --- hits --- */

static void spot_of(const struct reader *r, uint64_t offset, struct relmap_spot *ret)
{
	const uint8_t *page = NULL;
	uint64_t first = offset / PAGE * PAGE;

	if (r->pages && first >= r->pages_base && first + PAGE <= r->pages_base + r->pages_len)
		page = r->pages + (first - r->pages_base);
	relmap_spot(r->scan->how->relations, r->belongs ? r->belongs : r->path, page,
		    (size_t)(offset % PAGE), ret);
}

static bool same_hit(const struct residue_hit *a, const struct residue_hit *b)
{
	return a->original == b->original && a->place == b->place &&
	       strcmp(a->what, b->what) == 0 && strcmp(a->where, b->where) == 0 &&
	       strcmp(a->file, b->file) == 0;
}

/* Takes the texts of `hit`. */
static void list_hit(struct scan *s, struct residue_hit *hit)
{
	struct residue_result *all = s->result;
	bool keep = hit->what && hit->where && hit->file && all->listed < RESIDUE_LISTED;

	for (size_t k = 0; keep && k < all->listed; k++) {
		if (same_hit(&all->hits[k], hit)) {
			all->hits[k].count++;
			keep = false;
		}
	}
	if (keep && !all->hits)
		all->hits = calloc(RESIDUE_LISTED, sizeof(*all->hits));
	if (keep && all->hits) {
		all->hits[all->listed++] = *hit;
		return;
	}
	free(hit->what);
	free(hit->where);
	free(hit->file);
}

static void add_hit(struct reader *r, struct residue_hit *hit, const char *what)
{
	struct scan *s = r->scan;
	struct relmap_spot spot;
	char where[400];
	bool allowed;

	hit->place = r->place;
	hit->count = 1;
	spot_of(r, hit->offset, &spot);
	allowed = relmap_allowed(&spot, s->how->allow);
	WITH_LOCK(&s->lock);
	if (allowed) {
		s->result->allowed++;
		return;
	}
	if (hit->original)
		s->result->originals++;
	else
		s->result->detected++;
	relmap_describe(&spot, where, sizeof(where));
	hit->what = strdup(what);
	hit->where = strdup(where);
	hit->file = strdup(r->path);
	list_hit(s, hit);
}

static uint64_t offset_of(const struct reader *r, size_t at)
{
	return r->fixed ? r->base : r->base + at;
}

static void found_original(void *arg, uint32_t column, size_t at, size_t len)
{
	const struct look *l = arg;
	struct reader *r = l->r;
	const struct original_column *c;
	struct residue_hit hit = {.original = true, .offset = offset_of(r, at)};
	char what[400];

	if (at + len <= l->seen)
		return;
	c = originals_get(r->scan->how->originals, column);
	snprintf(what, sizeof(what), "%s.%s of %s", c->table, c->column, c->database);
	add_hit(r, &hit, what);
}

static void found_shape(void *arg, enum detect_kind kind, size_t at, size_t len)
{
	const struct look *l = arg;
	struct residue_hit hit = {.kind = kind, .offset = offset_of(l->r, at)};

	if (!l->r->fixed && is_covered(l->r, hit.offset))
		return;
	add_hit(l->r, &hit, detect_name(kind));
}

void reader_bytes(struct reader *r, const uint8_t *buf, size_t len, size_t seen, bool last)
{
	const struct residue_scan *how = r->scan->how;
	struct look l = {r, seen};

	if (how->originals)
		matcher_scan(originals_matcher(how->originals), buf, len, found_original, &l);
	/* What begins near the end is for the next piece, which sees all of it. */
	if (how->policy && !r->quiet)
		detect_scan(how->policy, buf, len, seen - COW_MIN(seen, (size_t)DETECT_LONGEST),
			    last ? len : len - COW_MIN(len, (size_t)DETECT_LONGEST), found_shape,
			    &l);
}
