// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/power_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/power_replay.h"

static const char *const kind_names[PLAN_KINDS] = {
    "setup",    "create",          "write",      "write-dsync", "fsync",   "fdatasync",
    "truncate", "punch",           "allocate",   "rename",      "link",    "unlink",
    "snapshot", "snapshot-delete", "branch",     "delete",      "restore", "gc",
    "trims",    "sync-branch",     "sync-store", "reopen",
};

const char *plan_kind_name(enum plan_kind k)
{
	return kind_names[k];
}

const char *plan_name(int name)
{
	static const char *const names[PLAN_NAMES] = {"n0", "n1", "n2", "n3", "d/n4", "d/n5"};

	return names[name];
}

uint64_t plan_page_offset(int page)
{
	return (uint64_t)(page < PLAN_NEAR ? page : PLAN_FAR_PAGE + page - PLAN_NEAR) * PLAN_PAGE;
}

void plan_print(const struct plan *p, int first, int last)
{
	for (int k = first < 0 ? 0 : first; k <= last && k < (int)p->n; k++) {
		const struct plan_op *o = &p->op[k];

		fprintf(stderr, "  op %d: %s b%d %s", k, kind_names[o->kind], o->branch,
			plan_name(o->name));
		if (o->kind == PLAN_RENAME || o->kind == PLAN_LINK)
			fprintf(stderr, " %s", plan_name(o->name2));
		if (o->kind == PLAN_BRANCH)
			fprintf(stderr, " b%d", o->name2);
		fprintf(stderr, " s%d off %llu len %llu\n", o->snapshot, (unsigned long long)o->off,
			(unsigned long long)o->len);
	}
}

/* --- versions --- */

static void add_version(struct plan_history *h, struct plan_version v)
{
	if (h->n == h->cap) {
		h->cap = h->cap ? 2 * h->cap : 4;
		h->v = realloc(h->v, h->cap * sizeof(*h->v));
	}
	h->v[h->n++] = v;
}

const struct plan_version *plan_version_at(const struct plan_history *h, int op)
{
	const struct plan_version *found = &h->v[0];

	for (size_t k = 0; k < h->n && h->v[k].op <= op; k++)
		found = &h->v[k];
	return found;
}

static void made_durable(struct plan *p, int file, int op, int first, int last)
{
	struct plan_file *f = &p->file[file];

	f->durable = realloc(f->durable, (f->n_durable + 1) * sizeof(*f->durable));
	f->durable[f->n_durable].op = op;
	f->durable[f->n_durable].first = first;
	f->durable[f->n_durable++].last = last;
}

/* A file with the contents of `from` as of `at`; -1 = an empty one. */
static int new_file(struct plan *p, int op, int from, int at)
{
	struct plan_version v = {.op = op};

	p->file = realloc(p->file, (p->n_files + 1) * sizeof(*p->file));
	memset(&p->file[p->n_files], 0, sizeof(*p->file));
	v.size = from < 0 ? 0 : plan_version_at(&p->file[from].size, at)->size;
	add_version(&p->file[p->n_files].size, v);
	for (int k = 0; k < PLAN_PAGES; k++) {
		v.bytes = from < 0 ? NULL : plan_version_at(&p->file[from].page[k], at)->bytes;
		add_version(&p->file[p->n_files].page[k], v);
	}
	if (from >= 0)
		made_durable(p, (int)p->n_files, op, 0, PLAN_PAGES);
	return (int)p->n_files++;
}

/* Bytes [lo, hi) of the file become `fill`; 0 with `how` = PLAN_TRUNCATE or PLAN_PUNCH. */
static void fill_bytes(struct plan_file *f, int op, uint64_t lo, uint64_t hi, int fill,
		       enum plan_kind how)
{
	for (int k = 0; k < PLAN_PAGES; k++) {
		uint64_t at = plan_page_offset(k), end = at + PLAN_PAGE;
		struct plan_history *h = &f->page[k];
		uint8_t *bytes;

		if (end <= lo || at >= hi)
			continue;
		bytes = calloc(1, PLAN_PAGE);
		if (h->v[h->n - 1].bytes)
			memcpy(bytes, h->v[h->n - 1].bytes, PLAN_PAGE);
		lo = lo > at ? lo : at;
		memset(bytes + (lo - at), fill, (size_t)((hi < end ? hi : end) - lo));
		/* Which write it was, where there is room, for a fill is only a byte. */
		if (fill && hi - lo >= 4 && end - lo >= 4)
			memcpy(bytes + (lo - at), &op, 4);
		add_version(h, (struct plan_version){.op = op,
						     .bytes = bytes,
						     .lo = (int)(lo - at),
						     .hi = (int)((hi < end ? hi : end) - at),
						     .truncated = how == PLAN_TRUNCATE,
						     .punched = how == PLAN_PUNCH});
	}
}

static uint64_t size_of(const struct plan_file *f)
{
	return f->size.v[f->size.n - 1].size;
}

static void set_size(struct plan_file *f, int op, uint64_t size)
{
	if (size < size_of(f))
		fill_bytes(f, op, size, UINT64_MAX, 0, PLAN_TRUNCATE);
	if (size != size_of(f))
		add_version(&f->size, (struct plan_version){.op = op, .size = size});
}

/* --- one operation in plain memory --- */

static void branch_durable(struct plan *p, const struct plan_world *w, int branch, int op)
{
	for (int k = 0; k < PLAN_NAMES; k++)
		if (w->branch[branch].file[k] >= 0)
			made_durable(p, w->branch[branch].file[k], op, 0, PLAN_PAGES);
}

static void all_durable(struct plan *p, const struct plan_world *w, int op)
{
	for (int b = 0; b < PLAN_BRANCHES; b++)
		if (w->branch[b].there)
			branch_durable(p, w, b, op);
}

/* `files` as of `at` become the contents of a branch. Two names of one file stay so. */
static void copy_files(struct plan *p, struct plan_world *w, int branch, const int *files, int op,
		       int at)
{
	int from[PLAN_NAMES];

	memcpy(from, files, sizeof(from));
	for (int k = 0; k < PLAN_NAMES; k++) {
		int *to = &w->branch[branch].file[k];

		*to = from[k] < 0 ? -1 : -2;
		for (int j = 0; j < k && *to == -2; j++)
			if (from[j] == from[k])
				*to = w->branch[branch].file[j];
		if (*to == -2)
			*to = new_file(p, op, from[k], at);
	}
}

static bool do_names(struct plan *p, struct plan_world *w, const struct plan_op *o, int op)
{
	int *file = w->branch[o->branch].file;

	switch (o->kind) {
	case PLAN_CREATE:
		if (file[o->name] >= 0)
			return false;
		file[o->name] = new_file(p, op, -1, 0);
		return true;
	case PLAN_RENAME:
		/* Two names of one file: rename does nothing. */
		if (file[o->name] < 0 || o->name == o->name2 || file[o->name] == file[o->name2])
			return false;
		file[o->name2] = file[o->name];
		file[o->name] = -1;
		return true;
	case PLAN_LINK:
		if (file[o->name] < 0 || file[o->name2] >= 0)
			return false;
		file[o->name2] = file[o->name];
		return true;
	default: /* unlink */
		if (file[o->name] < 0)
			return false;
		file[o->name] = -1;
		return true;
	}
}

static bool do_data(struct plan *p, struct plan_world *w, const struct plan_op *o, int op)
{
	int file = w->branch[o->branch].file[o->name];
	struct plan_file *f = &p->file[file];
	uint64_t end = o->off + o->len;

	if (file < 0)
		return false;
	switch (o->kind) {
	case PLAN_WRITE:
	case PLAN_WRITE_DSYNC:
		fill_bytes(f, op, o->off, end, o->fill, PLAN_WRITE);
		if (end > size_of(f))
			set_size(f, op, end);
		break;
	case PLAN_TRUNCATE:
		set_size(f, op, o->off);
		break;
	case PLAN_PUNCH:
		if (o->off < size_of(f))
			fill_bytes(f, op, o->off, end < size_of(f) ? end : size_of(f), 0,
				   PLAN_PUNCH);
		break;
	case PLAN_ALLOCATE:
		if (end > size_of(f))
			set_size(f, op, end);
		break;
	default: /* a sync */
		made_durable(p, file, op, 0, PLAN_PAGES);
	}
	if (o->kind == PLAN_WRITE_DSYNC)
		for (int k = 0; k < PLAN_PAGES; k++)
			if (plan_page_offset(k) < end && plan_page_offset(k) + PLAN_PAGE > o->off)
				made_durable(p, file, op, k, k + 1);
	return true;
}

static bool do_branches(struct plan *p, struct plan_world *w, const struct plan_op *o, int op)
{
	struct plan_snapshot *s;
	int owner;

	switch (o->kind) {
	case PLAN_SNAPSHOT:
		if (o->snapshot != p->n_snapshots || o->snapshot >= PLAN_SNAPSHOTS)
			return false;
		s = &p->snapshot[p->n_snapshots++];
		*s = (struct plan_snapshot){.op = op, .branch = o->branch};
		memcpy(s->file, w->branch[o->branch].file, sizeof(s->file));
		w->branch[o->branch].snapshot[o->snapshot] = true;
		branch_durable(p, w, o->branch, op);
		return true;
	case PLAN_SNAPSHOT_DELETE:
		if (!w->branch[o->branch].snapshot[o->snapshot])
			return false;
		w->branch[o->branch].snapshot[o->snapshot] = false;
		return true;
	case PLAN_BRANCH:
		if (w->branch[o->name2].there)
			return false;
		memset(&w->branch[o->name2], 0, sizeof(w->branch[0]));
		w->branch[o->name2].there = true;
		branch_durable(p, w, o->branch, op);
		copy_files(p, w, o->name2, w->branch[o->branch].file, op, op);
		return true;
	case PLAN_RESTORE:
		if (o->snapshot >= p->n_snapshots)
			return false;
		owner = p->snapshot[o->snapshot].branch;
		if (!w->branch[owner].snapshot[o->snapshot])
			return false;
		copy_files(p, w, o->branch, p->snapshot[o->snapshot].file, op,
			   p->snapshot[o->snapshot].op);
		w->branch[o->branch].words = op;
		return true;
	default: /* delete; b0 is the default branch and stays */
		if (o->branch == 0)
			return false;
		memset(&w->branch[o->branch], 0, sizeof(w->branch[0]));
		for (int k = 0; k < PLAN_NAMES; k++)
			w->branch[o->branch].file[k] = -1;
		return true;
	}
}

static bool carry_out(struct plan *p, struct plan_world *w, const struct plan_op *o, int op)
{
	if (o->kind != PLAN_SETUP && !w->branch[o->branch].there)
		return false;
	switch (o->kind) {
	case PLAN_SETUP:
		w->branch[0].there = true;
		for (int b = 0; b < PLAN_BRANCHES; b++)
			for (int k = 0; k < PLAN_NAMES; k++)
				w->branch[b].file[k] = -1;
		return true;
	case PLAN_CREATE:
	case PLAN_RENAME:
	case PLAN_LINK:
	case PLAN_UNLINK:
		return do_names(p, w, o, op);
	case PLAN_SNAPSHOT:
	case PLAN_SNAPSHOT_DELETE:
	case PLAN_BRANCH:
	case PLAN_BRANCH_DELETE:
	case PLAN_RESTORE:
		return do_branches(p, w, o, op);
	case PLAN_SYNC_BRANCH:
		branch_durable(p, w, o->branch, op);
		return true;
	case PLAN_SYNC_STORE:
	case PLAN_REOPEN:
		all_durable(p, w, op);
		return true;
	case PLAN_GC:
	case PLAN_TRIMS:
		return true;
	default:
		return do_data(p, w, o, op);
	}
}

/* Newest change of a name in this branch. */
static int last_name_change(const struct plan *p, int branch, int op)
{
	for (int k = op; k > 0; k--)
		if (p->op[k].branch == branch &&
		    ((p->op[k].kind >= PLAN_RENAME && p->op[k].kind <= PLAN_UNLINK) ||
		     p->op[k].kind == PLAN_CREATE))
			return k;
	return 0;
}

static int names_durable(const struct plan *p, int op)
{
	bool durable = p->op[op].branch != PLAN_EPHEMERAL;

	switch (p->op[op].kind) {
	case PLAN_WRITE_DSYNC:
	case PLAN_FSYNC:
	case PLAN_FDATASYNC:
		return !durable ? 0 : last_name_change(p, p->op[op].branch, op);
	case PLAN_SETUP:
	case PLAN_SNAPSHOT:
	case PLAN_SNAPSHOT_DELETE:
	case PLAN_BRANCH:
	case PLAN_BRANCH_DELETE:
	case PLAN_RESTORE:
	case PLAN_SYNC_STORE:
	case PLAN_REOPEN:
		return op;
	case PLAN_SYNC_BRANCH:
		return !durable ? 0 : last_name_change(p, p->op[op].branch, op);
	default:
		return 0;
	}
}

struct plan *plan_new(void)
{
	struct plan *p = calloc(1, sizeof(*p));

	plan_add(p, &(struct plan_op){.kind = PLAN_SETUP});
	return p;
}

bool plan_add(struct plan *p, const struct plan_op *op)
{
	struct plan_world w = {0};
	int before = 0, now;

	if (p->n)
		w = p->after[p->n - 1];
	if (!carry_out(p, &w, op, (int)p->n))
		return false;
	p->op = realloc(p->op, (p->n + 1) * sizeof(*p->op));
	p->after = realloc(p->after, (p->n + 1) * sizeof(*p->after));
	p->names_durable = realloc(p->names_durable, (p->n + 1) * sizeof(*p->names_durable));
	p->op[p->n] = *op;
	p->after[p->n] = w;
	if (p->n)
		before = p->names_durable[p->n - 1];
	now = names_durable(p, (int)p->n);
	p->names_durable[p->n] = now > before ? now : before;
	p->n++;
	return true;
}

/* The pages of old versions are shared between files, so they are left to the end of the process.
 */
void plan_free(struct plan *p)
{
	for (size_t k = 0; k < p->n_files; k++) {
		free(p->file[k].size.v);
		free(p->file[k].durable);
		for (int j = 0; j < PLAN_PAGES; j++)
			free(p->file[k].page[j].v);
	}
	free(p->file);
	free(p->op);
	free(p->after);
	free(p->names_durable);
	free(p);
}

/* --- making plans --- */

static uint64_t below(uint64_t *seed, uint64_t n)
{
	return power_random(seed) % n;
}

static void random_range(uint64_t *seed, struct plan_op *o)
{
	bool far = below(seed, 8) == 0;
	uint64_t room = PLAN_NEAR * PLAN_PAGE, start = far ? PLAN_FAR_PAGE * PLAN_PAGE : 0;

	o->off = below(seed, room);
	o->len = 1 + below(seed, below(seed, 3) ? 9000 : 50000);
	if (below(seed, 2)) { /* as postgres does, and often the same blocks */
		o->off = below(seed, 2) ? o->off % (4 * COW_BLOCK) : o->off;
		o->off = o->off / COW_BLOCK * COW_BLOCK;
		o->len = (o->len + COW_BLOCK - 1) / COW_BLOCK * COW_BLOCK;
	}
	o->len = o->len < room - o->off ? o->len : room - o->off;
	o->off += start;
}

static struct plan_op random_op(uint64_t *seed, const struct plan *p)
{
	/* How often, in kinds' order. */
	static const uint8_t weight[PLAN_KINDS] = {0, 8, 24, 10, 12, 6, 8, 5, 3, 7, 2,
						   4, 4, 2,  3,  2,  2, 2, 4, 1, 1, 1};
	struct plan_op o = {.kind = PLAN_CREATE};
	unsigned sum = 0, pick;

	for (int k = 0; k < PLAN_KINDS; k++)
		sum += weight[k];
	pick = (unsigned)below(seed, sum);
	for (int k = 0; k < PLAN_KINDS; k++) {
		o.kind = (enum plan_kind)k;
		if (pick < weight[k])
			break;
		pick -= weight[k];
	}
	o.branch = (int)below(seed, PLAN_BRANCHES);
	o.name = (int)below(seed, PLAN_NAMES);
	o.name2 = (int)below(seed, o.kind == PLAN_BRANCH ? PLAN_BRANCHES : PLAN_NAMES);
	o.snapshot = o.kind == PLAN_SNAPSHOT ? p->n_snapshots
					     : (int)below(seed, (uint64_t)p->n_snapshots + 1);
	random_range(seed, &o);
	o.fill = (uint8_t)(1 + below(seed, 255));
	return o;
}

struct plan *plan_random(uint64_t seed, size_t n)
{
	struct plan *p = plan_new();

	while (p->n <= n) {
		struct plan_op o = random_op(&seed, p);

		plan_add(p, &o);
	}
	return p;
}

static bool add_letter(struct plan *p, char letter)
{
	const struct plan_world *w = &p->after[p->n - 1];
	int at = w->branch[0].file[0] >= 0 ? 0 : 1;
	struct plan_op o = {.name = at, .fill = (uint8_t)('a' + p->n)};

	switch (letter) {
	case 'c':
		o.kind = PLAN_CREATE;
		o.name = w->branch[0].file[0] < 0 ? 0 : w->branch[0].file[1] < 0 ? 1 : 2;
		break;
	case 'w':
		o.kind = PLAN_WRITE;
		o.off = 3000 * (1 + p->n % 3);
		o.len = 9000;
		break;
	case 's':
		o.kind = PLAN_FSYNC;
		break;
	case 'r':
		o.kind = PLAN_RENAME;
		o.name2 = 1 - at;
		break;
	case 't':
		o.kind = PLAN_TRUNCATE;
		o.off = p->n % 2 ? 5000 : 30000;
		break;
	case 'p':
		o.kind = PLAN_SNAPSHOT;
		o.snapshot = p->n_snapshots;
		break;
	default:
		o.kind = PLAN_UNLINK;
	}
	return plan_add(p, &o);
}

struct plan *plan_letters(const char *letters)
{
	struct plan *p = plan_new();

	plan_add(p, &(struct plan_op){.kind = PLAN_CREATE});
	plan_add(p, &(struct plan_op){.kind = PLAN_WRITE, .len = 20000, .fill = 'o'});
	plan_add(p, &(struct plan_op){.kind = PLAN_FSYNC});
	plan_add(p, &(struct plan_op){.kind = PLAN_SNAPSHOT});
	for (; *letters; letters++)
		add_letter(p, *letters);
	return p;
}
