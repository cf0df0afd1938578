// SPDX-License-Identifier: Apache-2.0
/* verify: is everything there that the map promises, and nothing else?
 *
 * Per lineage: every record decodes, every needed block of a closed epoch is in its extent file
 * with its sum, needed blocks of the head can be read. Per branch and snapshot: every name leads to
 * an inode, link counts agree. For the whole store: no extent file without a use. Runs beside a
 * mounted store; files that go while it looks are not faults. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "store/sums.h"
#include "store/world.h"

struct verify {
	struct cow_store *s;
	void (*fault)(const struct cow_fault *f, void *arg);
	void (*progress)(uint64_t done, uint64_t total, void *arg);
	void *arg;
	struct cow_verify_result *out;
	uint64_t total;
	/* what is being looked at */
	const char *branch;
	uint64_t lineage, epoch, ino, head;
};

static void tell(struct verify *v, const char *path, uint64_t ino, uint64_t block, const char *fmt,
		 ...) __attribute__((format(printf, 5, 6)));

static void tell(struct verify *v, const char *path, uint64_t ino, uint64_t block, const char *fmt,
		 ...)
{
	char what[256];
	struct cow_fault f = {
	    .branch = v->branch ? v->branch : "",
	    .path = path,
	    .lineage = v->lineage,
	    .epoch = v->epoch,
	    .ino = ino,
	    .block = block,
	    .what = what,
	};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	v->out->faults++;
	v->fault(&f, v->arg);
}

/* --- names of a view --- */

struct links {
	struct verify *v;
	struct cow_live *l;
	char path[4096];
	size_t len;
	struct {
		uint64_t ino;
		uint32_t found, claimed;
	} * many; /* inodes with more than one name */
	size_t n, cap;
};

static cow_errno count_link(struct links *x, const struct cow_attr *a)
{
	for (size_t k = 0; k < x->n; k++) {
		if (x->many[k].ino == a->ino) {
			x->many[k].found++;
			return 0;
		}
	}
	if (x->n == x->cap) {
		size_t cap = x->cap ? 2 * x->cap : 16;
		void *more = realloc(x->many, cap * sizeof(*x->many));

		if (!more)
			return -ENOMEM;
		x->many = more;
		x->cap = cap;
	}
	x->many[x->n].ino = a->ino;
	x->many[x->n].found = 1;
	x->many[x->n++].claimed = a->nlink;
	return 0;
}

static int check_entry(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	struct links *x = arg;
	size_t before = x->len;
	struct cow_inode *i;
	struct cow_attr a;
	int r, n = snprintf(x->path + before, sizeof(x->path) - before, "%s%s", before ? "/" : "",
			    name);

	if (cow_store_ending(x->v->s))
		return -ECANCELED;
	if (n > 0 && (size_t)n < sizeof(x->path) - before)
		x->len += (size_t)n;
	x->v->out->files++;
	r = cow_inode_get(x->l, ino, &i);
	if (r < 0) {
		tell(x->v, x->path, ino, UINT64_MAX, "its inode cannot be read: %s", strerror(-r));
		x->len = before;
		return r == -ENOMEM ? r : 0;
	}
	cow_inode_attr(i, &a);
	if ((a.mode & S_IFMT) != type)
		tell(x->v, x->path, ino, UINT64_MAX, "its name and its inode disagree on its type");
	if (S_ISDIR(type))
		r = cow_name_each(i, check_entry, x);
	else if (a.nlink > 1)
		r = count_link(x, &a);
	cow_inode_put(i);
	x->len = before;
	x->path[before] = '\0';
	return r;
}

static cow_errno check_names(struct verify *v, const char *reference, struct cow_error *e)
{
	struct links x = {.v = v};
	struct cow_inode *root;
	cow_errno r = cow_live_get_point(v->s, reference, &x.l, e);

	v->branch = reference;
	if (r == -EROFS) { /* known, on record and shown by status: no fault of the store */
		cow_log_warn("verify: %s: not looked at as it is now: %s", reference,
			     e ? e->text : "a write of it failed");
		return 0;
	}
	if (r == -EIO) {
		tell(v, "", 0, UINT64_MAX, "cannot be opened: its records are damaged");
		return 0;
	}
	if (r < 0)
		return r == -ENOENT ? 0 : r; /* deleted since */
	v->lineage = x.l->chain[0].lineage;
	v->epoch = x.l->chain[0].epoch;
	r = cow_inode_get(x.l, x.l->root, &root);
	if (r < 0) {
		tell(v, "", x.l->root, UINT64_MAX, "the root directory cannot be read: %s",
		     strerror(-r));
		r = 0;
	} else {
		r = cow_name_each(root, check_entry, &x);
		cow_inode_put(root);
	}
	for (size_t k = 0; r == 0 && k < x.n; k++)
		if (x.many[k].found != x.many[k].claimed)
			tell(v, "", x.many[k].ino, UINT64_MAX, "has %u names, its inode says %u",
			     x.many[k].found, x.many[k].claimed);
	if (r == -EIO) {
		tell(v, x.path, 0, UINT64_MAX, "a directory cannot be read: damaged map");
		r = 0;
	}
	free(x.many);
	cow_live_put(x.l);
	return r;
}

/* --- blocks of a lineage --- */

/* A branch that resolves through the lineage, and the path of the inode there: what people can look
 * at. */
struct search {
	struct cow_store *s;
	struct cow_live *l;
	uint64_t lineage, epoch, ino;
	char branch[COW_BRANCH_MAX + 1];
	char path[4096];
	size_t len;
};

static int look_for(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	struct search *x = arg;
	size_t before = x->len;
	struct cow_inode *dir;
	int r = 0, n = snprintf(x->path + before, sizeof(x->path) - before, "%s%s",
				before ? "/" : "", name);

	if (n < 0 || (size_t)n >= sizeof(x->path) - before)
		return 0;
	x->len += (size_t)n;
	if (ino == x->ino)
		return 1;
	if (S_ISDIR(type) && cow_inode_get(x->l, ino, &dir) == 0) {
		r = cow_name_each(dir, look_for, x);
		cow_inode_put(dir);
	}
	if (r != 1) {
		x->len = before;
		x->path[before] = '\0';
		r = 0;
	}
	return r;
}

/* The branch sees that epoch of the lineage. */
static bool sees(const struct cow_live *l, uint64_t lineage, uint64_t epoch)
{
	for (uint32_t k = 0; k < l->n_chain; k++)
		if (l->chain[k].lineage == lineage)
			return cow_chain_at(l, k).epoch >= epoch;
	return false;
}

static int look_in_branch(const struct cow_branch_info *b, void *arg)
{
	struct search *x = arg;
	struct cow_inode *root;
	int r = 0;

	if (cow_live_get(x->s, b->name, &x->l, NULL) < 0)
		return 0;
	if (sees(x->l, x->lineage, x->epoch) && cow_inode_get(x->l, x->l->root, &root) == 0) {
		snprintf(x->branch, sizeof(x->branch), "%s", b->name);
		r = cow_name_each(root, look_for, x);
		cow_inode_put(root);
	}
	cow_live_put(x->l);
	return r == 1;
}

static int bad_block(uint64_t block, cow_errno r, void *arg)
{
	struct verify *v = arg;
	CLEANUP_FREE struct search *where = calloc(1, sizeof(*where));

	if (!where)
		return -ENOMEM;
	where->s = v->s;
	where->lineage = v->lineage;
	where->epoch = v->epoch;
	where->ino = v->ino;
	cow_branch_each(v->s, look_in_branch, where);
	v->branch = where->branch;
	tell(v, where->path, v->ino, block,
	     r == -EILSEQ ? "block %" PRIu64 " does not match its sum"
			  : "block %" PRIu64 " cannot be read from its extent file",
	     block);
	v->branch = NULL;
	return 0;
}

static int ignore(uint64_t block, cow_errno r, void *arg)
{
	return 0;
}

static int check_block(uint64_t epoch, uint64_t ino, uint64_t chunk, const uint64_t bits[16],
		       void *arg)
{
	struct verify *v = arg;
	uint64_t none[16] = {0}, n = 0;
	int r = 0;

	if (cow_store_ending(v->s))
		return -ECANCELED;
	for (int k = 0; k < 16; k++)
		n += (uint64_t)__builtin_popcountll(bits[k]);
	v->out->blocks += n;
	v->epoch = epoch;
	v->ino = ino;
	if (v->head && epoch >= v->head)
		r = cow_sums_check(v->s, (struct cow_point){v->lineage, epoch}, ino, chunk, none,
				   ignore, v, &v->out->sums_checked, &v->out->sums_missing);
	else
		r = cow_sums_check(v->s, (struct cow_point){v->lineage, epoch}, ino, chunk, bits,
				   bad_block, v, &v->out->sums_checked, &v->out->sums_missing);
	if (v->progress)
		v->progress(v->out->blocks * COW_BLOCK, v->total, v->arg);
	return r;
}

static cow_errno check_lineage(struct verify *v, const struct cow_world *w,
			       const struct cow_world_lineage *l)
{
	const struct cow_needs_sink sink = {.block = check_block, .arg = v};
	struct cow_needs_points p;
	cow_errno r = cow_world_points(w, l, &p);

	v->lineage = l->id;
	v->head = l->has_branch ? l->head : 0;
	if (r == 0 && l->lost && p.n) /* its head is the last point */
		p.n--;
	if (r == 0)
		r = cow_needs(v->s, l->id, &p, &sink);
	free(p.at);
	if (r == -EIO) {
		tell(v, "", 0, UINT64_MAX, "a record of lineage %" PRIu64 " is damaged", l->id);
		r = 0;
	}
	return r;
}

/* --- which branches and lineages --- */

struct todo {
	struct cow_world *w;
	struct ref {
		char text[2 * COW_BRANCH_MAX + 3];
		bool lost; /* a head that is not to be looked at */
	} * refs;
	size_t n, cap;
	const char *const *names;
	size_t n_names;
	uint64_t branches;
	const char *branch;
};

static cow_errno add_ref(struct todo *t, const char *branch, const char *snap, bool lost)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 16;
		void *more = realloc(t->refs, cap * sizeof(*t->refs));

		if (!more)
			return -ENOMEM;
		t->refs = more;
		t->cap = cap;
	}
	t->refs[t->n].lost = lost;
	snprintf(t->refs[t->n++].text, sizeof(t->refs[0].text), "%s%s%s", branch, snap ? "@" : "",
		 snap ? snap : "");
	return 0;
}

static int add_snapshot(const struct cow_snapshot_info *p, void *arg)
{
	return add_ref(arg, p->branch, p->name, false);
}

static int add_branch(const struct cow_branch_info *b, void *arg)
{
	struct todo *t = arg;
	bool wanted = t->n_names == 0;

	for (size_t k = 0; k < t->n_names; k++)
		wanted = wanted || strcmp(t->names[k], b->name) == 0;
	if (!wanted)
		return 0;
	t->branches++;
	/* Of a lost branch only the snapshots are promised. */
	return add_ref(t, b->name, NULL, b->lost);
}

static cow_errno list_todo(struct cow_store *s, struct todo *t, struct cow_error *e)
{
	size_t n;
	int r;

	for (size_t k = 0; k < t->n_names; k++) {
		CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};

		if ((r = cow_branch_read(s, t->names[k], &b, e)) < 0)
			return r;
	}
	r = cow_branch_each(s, add_branch, t);
	n = t->n;
	for (size_t k = 0; r == 0 && k < n; k++)
		r = cow_snapshot_each(s, t->refs[k].text, add_snapshot, t);
	return r < 0 ? cow_fail(e, r, "cannot list the branches: %s", strerror(-r)) : 0;
}

/* Lineages that the named branches resolve through; all of them when none is named. */
static void mark_lineages(struct cow_store *s, const struct todo *t, const struct cow_world *w,
			  bool *wanted)
{
	for (size_t k = 0; t->n_names == 0 && k < w->n; k++)
		wanted[k] = true;
	for (size_t k = 0; t->n_names && k < t->n; k++) {
		struct cow_ref ref;
		uint64_t id;

		if (cow_ref_resolve(s, t->refs[k].text, NULL, &ref, NULL) < 0)
			continue;
		id = ref.head ? ref.branch.lineage : ref.at.lineage;
		cow_branch_release(&ref.branch);
		for (struct cow_world_lineage *l; (l = cow_world_find(w, id)); id = l->parent)
			wanted[l - w->lineage] = true;
	}
}

/* A record that says what there is: named by what its key says. */
static void damaged_record(const uint8_t *key, size_t klen, void *arg)
{
	struct verify *v = arg;
	char name[COW_BRANCH_MAX + 1];

	v->lineage = v->epoch = 0;
	if (key[0] == 'B') {
		snprintf(name, sizeof(name), "%.*s", (int)(klen - 1), (const char *)key + 1);
		v->branch = name;
		tell(v, "", 0, UINT64_MAX, "the record of the branch is damaged");
		v->branch = NULL;
		return;
	}
	v->lineage = klen >= 9 ? cow_key_number(key, 0) : 0;
	v->epoch = klen >= 17 ? cow_key_number(key, 1) : 0;
	if (key[0] == 'L')
		tell(v, "", 0, UINT64_MAX, "the record of lineage %" PRIu64 " is damaged",
		     v->lineage);
	else if (key[0] == 'S')
		tell(v, "", 0, UINT64_MAX,
		     "the record of a snapshot of lineage %" PRIu64 ", epoch %" PRIu64
		     " is damaged",
		     v->lineage, v->epoch);
	else
		tell(v, "", 0, UINT64_MAX, "the record of a deleted branch is damaged");
}

/* When branches are named, only what they resolve through is told; a chain that does not go on was
 * told when they were opened. */
static void not_told(const uint8_t *key, size_t klen, void *arg)
{
}

static cow_errno check_lineages(struct verify *v, const struct todo *t)
{
	struct cow_world w;
	CLEANUP_FREE bool *wanted = NULL;
	cow_errno r;

	pthread_mutex_lock(&v->s->admin);
	r = cow_world_look(v->s, &w, t->n_names ? not_told : damaged_record, v);
	pthread_mutex_unlock(&v->s->admin);
	if (r < 0)
		return r;
	wanted = calloc(w.n + 1, sizeof(*wanted));
	if (wanted)
		mark_lineages(v->s, t, &w, wanted);
	else
		r = -ENOMEM;
	v->branch = NULL;
	for (size_t k = 0; r == 0 && k < w.n; k++)
		if (wanted[k])
			r = check_lineage(v, &w, &w.lineage[k]);
	cow_world_release(&w);
	return r;
}

/* Else an error of the same number came from the host. */
static bool map_is_damaged(struct cow_store *s)
{
	struct cow_world w;
	cow_errno r;
	WITH_LOCK(&s->admin);

	r = cow_world_take(s, &w);
	if (r == 0)
		cow_world_release(&w);
	return r == -EIO;
}

/* Space that nothing needs is what gc would free: counted, or with `repair` freed. While a record
 * is damaged nobody can say what that is. */
static cow_errno check_leaks(struct verify *v, bool repair, struct cow_error *e)
{
	struct cow_verify_result *ret = v->out;
	struct cow_store *s = v->s;
	struct cow_gc_result got = {0};
	cow_errno r = repair ? cow_gc_run(s, &got, e) : cow_store_push(s);

	if (r == 0 && !repair)
		r = cow_leaks(s, &got);
	if (r == -EIO && map_is_damaged(s)) {
		tell(v, "", 0, UINT64_MAX,
		     "what nothing needs cannot be told: a record of the map is damaged; nothing "
		     "is freed");
		r = 0;
	}
	ret->leaked_bytes = got.bytes;
	if (repair)
		ret->repaired = got.files + got.lineages;
	return r;
}

cow_errno cow_verify(struct cow_store *s, const char *const *names, size_t n, bool repair,
		     void (*fault)(const struct cow_fault *f, void *arg),
		     void (*progress)(uint64_t done, uint64_t total, void *arg), void *arg,
		     struct cow_verify_result *ret, struct cow_error *e)
{
	struct verify v = {.s = s, .fault = fault, .progress = progress, .arg = arg, .out = ret};
	struct todo t = {.names = names, .n_names = n};
	cow_errno r;

	*ret = (struct cow_verify_result){0};
	/* First, because looking at the names closes epochs, and what a head holds in reserve would
	 * count. */
	r = n == 0 ? check_leaks(&v, repair, e) : 0;
	if (r == 0)
		r = list_todo(s, &t, e);
	ret->branches = t.branches;
	for (size_t k = 0; r == 0 && k < t.n; k++)
		r = t.refs[k].lost ? 0 : check_names(&v, t.refs[k].text, e);
	if (r == 0 && (r = check_lineages(&v, &t)) < 0 && r != -ECANCELED)
		cow_fail(e, r, "cannot read the map: %s", strerror(-r));
	if (r == -ECANCELED)
		cow_fail(e, r, "the daemon stops: the check has not come to its end");
	free(t.refs);
	return r;
}
