// SPDX-License-Identifier: Apache-2.0
/* power_check: what is found after a cut against what a plan allows. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/core.h"
#include "tests/lib/power_plan.h"

struct check {
	const struct plan *p;
	struct cow_store *s;
	int acked, begun;
	int world;       /* the operation after which the names are */
	bool quiet;      /* trying one world of several */
	char first[512]; /* what was wrong */
};

static bool wrong(struct check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->first, sizeof(c->first), fmt, ap);
	va_end(ap);
	if (!c->quiet)
		fprintf(stderr, "  wrong: %s\n", c->first);
	return false;
}

/* --- what is there --- */

struct listing {
	const struct plan_world *want;
	int branch;
	unsigned n_branches;
	bool snapshot[PLAN_SNAPSHOTS];
	unsigned n_names[PLAN_NAMES], n_other;
	bool in_d;
};

static int count_branch(const struct cow_branch_info *b, void *arg)
{
	((struct listing *)arg)->n_branches++;
	return 0;
}

static int note_snapshot(const struct cow_snapshot_info *s, void *arg)
{
	struct listing *l = arg;
	int n;

	if (sscanf(s->name, "s%d", &n) == 1 && n >= 0 && n < PLAN_SNAPSHOTS)
		l->snapshot[n] = true;
	return 0;
}

static int note_name(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	struct listing *l = arg;

	if (!l->in_d && strcmp(name, "d") == 0 && type == S_IFDIR)
		return 0;
	for (int k = 0; k < PLAN_NAMES; k++) {
		bool d = strchr(plan_name(k), '/');

		if (d == l->in_d && strcmp(name, plan_name(k) + (d ? 2 : 0)) == 0 &&
		    type == S_IFREG) {
			l->n_names[k]++;
			return 0;
		}
	}
	l->n_other++;
	return 0;
}

static cow_errno get_dirs(struct cow_live *l, struct cow_inode **root, struct cow_inode **d)
{
	cow_errno r = cow_inode_get(l, cow_live_root(l), root);

	return r < 0 ? r : cow_name_lookup(*root, "d", d);
}

static cow_errno list_names(struct cow_live *l, struct listing *out)
{
	struct cow_inode *root = NULL, *d = NULL;
	cow_errno r = get_dirs(l, &root, &d);

	if (r == 0)
		r = cow_name_each(root, note_name, out);
	out->in_d = true;
	if (r == 0)
		r = cow_name_each(d, note_name, out);
	cow_inode_put(d);
	cow_inode_put(root);
	return r;
}

static bool names_are(struct check *c, struct cow_live *l, const char *what, const int *file)
{
	struct listing got = {.want = NULL};
	cow_errno r = list_names(l, &got);

	if (r < 0)
		return wrong(c, "%s: its directories cannot be read: %d", what, r);
	if (got.n_other)
		return wrong(c, "%s: %u names that nobody made", what, got.n_other);
	for (int k = 0; k < PLAN_NAMES; k++)
		if (got.n_names[k] != (file[k] >= 0))
			return wrong(c, "%s: %s %s", what, plan_name(k),
				     got.n_names[k] ? "should not be there" : "is missing");
	return true;
}

static bool words_are(struct check *c, const char *name, int want)
{
	struct cow_branch_info b = {0};
	int got = 0;
	cow_errno r = cow_branch_get(c->s, name, &b, NULL);

	if (r == 0 && sscanf(b.settings, "{\"op\":%d}", &got) != 1)
		got = 0;
	cow_branch_info_release(&b);
	return (r == 0 && got == want) ||
	       wrong(c, "branch %s: its settings are of operation %d, not %d: %d", name, got, want,
		     r);
}

static bool branch_is(struct check *c, const struct plan_world *w, int b)
{
	struct listing got = {.want = w};
	struct cow_error e = COW_ERROR_INIT;
	struct cow_live *l = NULL;
	char name[8];
	bool ok;
	cow_errno r;

	snprintf(name, sizeof(name), "b%d", b);
	r = cow_live_get(c->s, name, &l, &e);
	if (r < 0)
		return wrong(c, "branch %s: %d %s", name, r, e.text);
	ok = names_are(c, l, name, w->branch[b].file) && words_are(c, name, w->branch[b].words);
	cow_live_put(l);
	r = cow_snapshot_each(c->s, name, note_snapshot, &got);
	if (r < 0)
		return wrong(c, "snapshots of %s: %d", name, r);
	for (int k = 0; ok && k < PLAN_SNAPSHOTS; k++)
		if (got.snapshot[k] != w->branch[b].snapshot[k])
			return wrong(c, "snapshot %s@s%d %s", name, k,
				     got.snapshot[k] ? "should not be there" : "is missing");
	return ok;
}

static bool world_is(struct check *c, const struct plan_world *w)
{
	struct listing got = {.want = w};
	unsigned want = 0;

	for (int b = 0; b < PLAN_BRANCHES; b++)
		want += w->branch[b].there;
	cow_branch_each(c->s, count_branch, &got);
	if (got.n_branches != want)
		return wrong(c, "%u branches, not %u", got.n_branches, want);
	for (int b = 0; b < PLAN_BRANCHES; b++)
		if (w->branch[b].there && !branch_is(c, w, b))
			return false;
	return true;
}

/* --- contents --- */

/* The newest operation that was acknowledged and made this page (-1: the size) durable. */
static int durable_at(const struct check *c, const struct plan_file *f, int page)
{
	int found = f->size.v[0].op;

	for (size_t k = 0; k < f->n_durable; k++)
		if (f->durable[k].op <= c->acked && f->durable[k].op > found &&
		    (page < 0 || (page >= f->durable[k].first && page < f->durable[k].last)))
			found = f->durable[k].op;
	return found;
}

static bool size_is(struct check *c, const char *what, const struct plan_file *f, int at,
		    uint64_t size)
{
	const struct plan_version *v =
	    plan_version_at(&f->size, at >= 0 ? at : durable_at(c, f, -1));

	if (v->size == size)
		return true;
	for (v++; at < 0 && v < f->size.v + f->size.n && v->op <= c->begun; v++)
		if (v->size == size)
			return true;
	return wrong(c, "%s: %llu bytes", what, (unsigned long long)size);
}

static bool page_equals(const struct plan_version *v, const uint8_t *got, size_t len)
{
	static const uint8_t zeroes[PLAN_PAGE];

	return memcmp(got, v->bytes ? v->bytes : zeroes, len) == 0;
}

/* A truncation that was not synced takes no bytes away unless its size, or a later growth, which
 * zeroes the gap before it is done, can be what was found. */
static bool may_be_cut(const struct check *c, const struct plan_file *f,
		       const struct plan_version *v, uint64_t size)
{
	for (size_t k = 0; k < f->size.n && f->size.v[k].op <= c->begun; k++)
		if (f->size.v[k].op >= v->op &&
		    (f->size.v[k].size == size ||
		     (k > 0 && f->size.v[k].size > f->size.v[k - 1].size)))
			return true;
	return false;
}

/* A truncation or a punch that was not synced may be lost and a later write of the same page not,
 * so with one of them among the versions each byte is for itself: as it was, or as one of them left
 * it.
 */
static bool bytes_are(const struct check *c, const struct plan_file *f,
		      const struct plan_history *h, const struct plan_version *first, uint64_t size,
		      const uint8_t *got, size_t len)
{
	const struct plan_version *end = first;
	bool ok = false;

	for (; end < h->v + h->n && end->op <= c->begun; end++)
		ok = ok || (end > first && (end->truncated || end->punched));
	for (size_t k = 0; ok && k < len; k++) {
		const struct plan_version *v = first;

		for (ok = (v->bytes ? v->bytes[k] : 0) == got[k], v++; !ok && v < end; v++)
			ok = (int)k >= v->lo && (int)k < v->hi && v->bytes[k] == got[k] &&
			     (!v->truncated || may_be_cut(c, f, v, size));
	}
	return ok;
}

static bool has_cut(const struct check *c, const struct plan_history *h,
		    const struct plan_version *v)
{
	for (v++; v < h->v + h->n && v->op <= c->begun; v++)
		if (v->truncated)
			return true;
	return false;
}

static bool page_is(struct check *c, const char *what, const struct plan_file *f, int at, int page,
		    uint64_t size, const uint8_t *got, size_t len)
{
	const struct plan_history *h = &f->page[page];
	int from = at >= 0 ? at : durable_at(c, f, page);
	const struct plan_version *v = plan_version_at(h, from);

	if (page_equals(v, got, len) || (at < 0 && bytes_are(c, f, h, v, size, got, len)))
		return true;
	for (v++; at < 0 && !has_cut(c, h, plan_version_at(h, from)) && v < h->v + h->n &&
		  v->op <= c->begun;
	     v++)
		if (page_equals(v, got, len))
			return true;
	return wrong(c,
		     "%s: page %d (offset %llu) begins %02x %02x %02x %02x %02x and is not as "
		     "after operation %d%s",
		     what, page, (unsigned long long)plan_page_offset(page), got[0], got[1], got[2],
		     got[3], got[4], from, at < 0 ? " or any later one" : "");
}

/* `at` -1: any state since the last sync; else exactly as after that operation. */
static bool file_is(struct check *c, const char *what, struct cow_inode *i, int file, int at)
{
	const struct plan_file *f = &c->p->file[file];
	uint8_t got[PLAN_PAGE];
	struct cow_attr a;
	size_t n;
	cow_errno r;

	cow_inode_attr(i, &a);
	if (!size_is(c, what, f, at, a.size))
		return false;
	for (int k = 0; k < PLAN_PAGES && plan_page_offset(k) < a.size; k++) {
		r = cow_file_read(i, got, plan_page_offset(k), PLAN_PAGE, &n);
		if (r < 0 || (n != PLAN_PAGE && plan_page_offset(k) + n != a.size))
			return wrong(c, "%s: page %d: read %zu bytes: %d", what, k, n, r);
		if (!page_is(c, what, f, at, k, a.size, got, n))
			return false;
	}
	return true;
}

static bool files_are(struct check *c, struct cow_live *l, const char *what, const int *file,
		      int at)
{
	struct cow_inode *root = NULL, *d = NULL;
	cow_errno r = get_dirs(l, &root, &d);
	bool ok = r == 0 || wrong(c, "%s: no directory d: %d", what, r);

	for (int k = 0; ok && k < PLAN_NAMES; k++) {
		bool in_d = strchr(plan_name(k), '/');
		struct cow_inode *i = NULL;
		char text[64];

		if (file[k] < 0)
			continue;
		snprintf(text, sizeof(text), "%s/%s", what, plan_name(k));
		r = cow_name_lookup(in_d ? d : root, plan_name(k) + (in_d ? 2 : 0), &i);
		ok = r == 0 ? file_is(c, text, i, file[k], at) : wrong(c, "%s: %d", text, r);
		cow_inode_put(i);
	}
	cow_inode_put(d);
	cow_inode_put(root);
	return ok;
}

static bool snapshot_is(struct check *c, int b, int n)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_live *l = NULL;
	char text[32];
	bool ok;
	cow_errno r;

	snprintf(text, sizeof(text), "b%d@s%d", b, n);
	r = cow_live_get_point(c->s, text, &l, &e);
	if (r < 0)
		return wrong(c, "snapshot %s: %d %s", text, r, e.text);
	ok = names_are(c, l, text, c->p->snapshot[n].file) &&
	     files_are(c, l, text, c->p->snapshot[n].file, c->p->snapshot[n].op);
	cow_live_put(l);
	return ok;
}

static bool contents_are(struct check *c, const struct plan_world *w)
{
	for (int b = 0; b < PLAN_BRANCHES; b++) {
		struct cow_live *l = NULL;
		char name[8];
		bool ok;

		if (!w->branch[b].there)
			continue;
		snprintf(name, sizeof(name), "b%d", b);
		if (cow_live_get(c->s, name, &l, NULL) < 0)
			return wrong(c, "branch %s cannot be opened", name);
		ok = b == PLAN_EPHEMERAL || files_are(c, l, name, w->branch[b].file, -1);
		cow_live_put(l);
		for (int k = 0; ok && k < PLAN_SNAPSHOTS; k++)
			ok = !w->branch[b].snapshot[k] || snapshot_is(c, b, k);
		if (!ok)
			return false;
	}
	return true;
}

/* All the names are as after one operation between the last durable one and the last begun. */
static bool all_is(struct check *c)
{
	int first = c->acked >= 0 ? c->p->names_durable[c->acked] : 0;
	char why[512] = "";

	c->quiet = true;
	for (c->world = first; c->world <= c->begun; c->world++)
		if (world_is(c, &c->p->after[c->world])) {
			if (contents_are(c, &c->p->after[c->world]))
				break;
			memcpy(why, c->first, sizeof(why));
		}
	c->quiet = false;
	if (c->world <= c->begun)
		return true;
	if (why[0])
		return wrong(c, "contents: %s", why);
	memcpy(why, c->first, sizeof(why));
	return wrong(c, "names are not as after any of the operations %d to %d; the last: %s",
		     first, c->begun, why);
}

/* --- upkeep --- */

struct faults {
	unsigned n;
	uint64_t ephemeral; /* the lineage of the ephemeral branch, or 0 */
};

static void note_fault(const struct cow_fault *f, void *arg)
{
	struct faults *got = arg;

	/* What an ephemeral branch had not given to a snapshot is lost, and verify may say so. Its
	 * snapshots and children are compared byte by byte. */
	if (f->lineage == got->ephemeral)
		return;
	got->n++;
	fprintf(stderr, "  fault: %s/%s lineage %llu epoch %llu inode %llu block %lld: %s\n",
		f->branch, f->path, (unsigned long long)f->lineage, (unsigned long long)f->epoch,
		(unsigned long long)f->ino, (long long)f->block, f->what);
}

static uint64_t ephemeral_lineage(struct check *c)
{
	struct cow_branch_info b = {0};
	uint64_t lineage = 0;
	char name[8];

	snprintf(name, sizeof(name), "b%d", PLAN_EPHEMERAL);
	if (cow_branch_get(c->s, name, &b, NULL) == 0)
		lineage = b.lineage;
	cow_branch_info_release(&b);
	return lineage;
}

static bool upkeep_is_clean(struct check *c)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_verify_result v = {0};
	struct cow_gc_result g = {0};
	struct faults faults = {.ephemeral = ephemeral_lineage(c)};
	cow_errno r = cow_gc_run(c->s, &g, &e);

	if (r < 0)
		return wrong(c, "gc: %d %s", r, e.text);
	r = cow_verify(c->s, NULL, 0, false, note_fault, NULL, &faults, &v, &e);
	if (r < 0)
		return wrong(c, "verify: %d %s", r, e.text);
	if (faults.n || v.leaked_bytes)
		return wrong(c, "verify: %u faults, %llu bytes leaked", faults.n,
			     (unsigned long long)v.leaked_bytes);
	return true;
}

/* Life goes on: a file over new space, synced, and a snapshot of it. */
static bool goes_on(struct check *c)
{
	static const struct cow_name_create how = {.mode = S_IFREG | 0600};
	struct cow_live *l = NULL;
	struct cow_inode *root = NULL, *i = NULL;
	uint8_t buf[3 * COW_BLOCK], got[sizeof(buf)];
	size_t n = 0;
	cow_errno r;

	memset(buf, 'x', sizeof(buf));
	if ((r = cow_live_get(c->s, "b0", &l, NULL)) == 0 &&
	    (r = cow_inode_get(l, cow_live_root(l), &root)) == 0 &&
	    (r = cow_name_create(root, "after", &how, &i)) == 0 &&
	    (r = cow_file_write(i, buf, 0, sizeof(buf), 0)) == 0 &&
	    (r = cow_file_sync(i, false)) == 0 &&
	    (r = cow_snapshot_create(c->s, "b0", "after", NULL, NULL, NULL)) == 0)
		r = cow_file_read(i, got, 0, sizeof(got), &n);
	if (r == 0 && (n != sizeof(buf) || memcmp(got, buf, n) != 0))
		r = -EIO;
	if (r == 0 && (r = cow_name_unlink(root, "after")) == 0)
		r = cow_snapshot_delete(c->s, "b0", "after", NULL);
	cow_inode_put(i);
	cow_inode_put(root);
	cow_live_put(l);
	return r == 0 || wrong(c, "the store cannot be used afterwards: %d", r);
}

static bool open_store(struct check *c, const char *path, struct cow_kv *kv)
{
	const struct cow_store_options o = {.no_background = true};
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r =
	    kv ? cow_store_open_kv(path, &o, kv, &c->s, &e) : cow_store_open(path, &o, &c->s, &e);

	return r == 0 || wrong(c, "the store does not open: %d %s", r, e.text);
}

bool plan_check(const struct plan *p, const char *path, struct cow_kv *kv, int acked, int begun,
		bool deep)
{
	struct check c = {.p = p, .acked = acked, .begun = begun};
	bool ok;

	if (acked < 0)
		return true; /* the store was being made */
	c.begun = begun < (int)p->n ? begun : (int)p->n - 1;
	if (!open_store(&c, path, kv))
		return false;
	ok = all_is(&c);
	if (ok && deep)
		ok = upkeep_is_clean(&c) && all_is(&c) && goes_on(&c) && upkeep_is_clean(&c);
	if (cow_store_close(c.s, NULL) < 0 && ok)
		ok = wrong(&c, "the store does not close");
	if (ok && deep && !kv) {
		ok = open_store(&c, path, NULL) && all_is(&c);
		if (c.s)
			cow_store_close(c.s, NULL);
	}
	return ok;
}
