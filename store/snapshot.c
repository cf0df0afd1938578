// SPDX-License-Identifier: Apache-2.0
/* snapshot: names for sealed epochs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/branch_impl.h"
#include "store/cleanup.h"
#include "store/os.h"

static void stamp(char *out, size_t size, int64_t ns)
{
	time_t sec = ns / 1000000000;
	struct tm tm;
	size_t n;

	gmtime_r(&sec, &tm);
	n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, size - n, ".%06lldZ", (long long)(ns / 1000 % 1000000));
}

static cow_errno check_name(const char *name, struct cow_error *e)
{
	size_t n = strlen(name);

	if (n == 0 || n > COW_BRANCH_MAX)
		return cow_fail(e, -EINVAL, "a snapshot name has 1 to 255 bytes");
	for (const unsigned char *p = (const unsigned char *)name; *p; p++)
		if (*p < 0x20 || *p == 0x7f || *p == '@')
			return cow_fail(e, -EINVAL,
					"a snapshot name has no control characters and no '@'");
	return 0;
}

struct same_name {
	const char *name;
	struct cow_snapshot_info found;
};

static int is_same(const struct cow_snapshot_info *p, void *arg)
{
	struct same_name *want = arg;

	if (strcmp(p->name, want->name) != 0)
		return 0;
	want->found = *p;
	return 1;
}

/* Only the exact name counts: a name that looks like a time would find any older snapshot. */
static cow_errno must_be_new(struct cow_store *s, const char *branch, const char *name,
			     struct cow_error *e)
{
	struct same_name want = {.name = name};

	if (cow_snapshot_each(s, branch, is_same, &want) != 1)
		return 0;
	return cow_fail(e, -EEXIST, "branch %s has a snapshot %s already", branch, name);
}

static void put_snap(struct cow_batch *b, struct cow_point at, const struct cow_snap_rec *v)
{
	CLEANUP(cow_buf_release) struct cow_buf bytes = {0};
	struct cow_key k = cow_key_snap(at.lineage, at.epoch);

	if (cow_snap_encode(v, &bytes) < 0)
		b->failed = -ENOMEM;
	else
		cow_batch_put(b, k.b, k.len, bytes.data, bytes.len);
}

/* One name per epoch: a quiet branch is closed again for a second name. */
static cow_errno fresh_point(struct cow_store *s, struct cow_ref *ref, struct cow_error *e)
{
	CLEANUP(cow_buf_release) struct cow_buf v = {0};
	struct cow_live *l = NULL;
	struct cow_key k;
	cow_errno r = cow_live_open(s, &ref->branch, &l);

	if (r < 0)
		return cow_fail(e, r, "cannot open branch %s: damaged lineage", ref->name);
	r = cow_live_seal(l, &ref->at, e);
	k = cow_key_snap(ref->at.lineage, ref->at.epoch);
	if (r == 0 &&
	    (ref->at.lineage != l->chain[0].lineage || cow_kv_get(s->kv, k.b, k.len, &v) == 0)) {
		l->head_written = true;
		r = cow_live_seal(l, &ref->at, e);
	}
	cow_live_put(l);
	return r;
}

static cow_errno create(struct cow_store *s, const char *branch, struct cow_snap_rec *v,
			struct cow_snapshot_info *ret, struct cow_error *e)
{
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	struct cow_ref ref;
	cow_errno r;

	if ((r = check_name(v->name, e)) < 0 || (r = must_be_new(s, branch, v->name, e)) < 0 ||
	    (r = cow_ref_resolve(s, branch, NULL, &ref, e)) < 0)
		return r;
	r = ref.head ? fresh_point(s, &ref, e)
		     : cow_fail(e, -EINVAL, "%s is a snapshot already", branch);
	v->branch_id = ref.branch.id;
	cow_branch_release(&ref.branch);
	if (r < 0)
		return r;
	put_snap(&batch, ref.at, v);
	if ((r = cow_store_commit(s, &batch)) < 0)
		return cow_fail(e, r, "cannot write: %s", strerror(-r));
	if (ret) {
		*ret = (struct cow_snapshot_info){.branch_id = v->branch_id,
						  .lineage = ref.at.lineage,
						  .epoch = ref.at.epoch,
						  .created_ns = v->created_ns};
		memcpy(ret->branch, ref.name, sizeof(ret->branch));
		memcpy(ret->name, v->name, sizeof(ret->name));
		memcpy(ret->message, v->message, sizeof(ret->message));
	}
	return 0;
}

cow_errno cow_snapshot_create(struct cow_store *s, const char *branch, const char *name,
			      const char *message, struct cow_snapshot_info *ret,
			      struct cow_error *e)
{
	struct cow_snap_rec v = {.created_ns = cow_os_now_ns()};
	WITH_LOCK(&s->admin);

	if (name && strlen(name) > COW_BRANCH_MAX)
		return cow_fail(e, -EINVAL, "a snapshot name has 1 to 255 bytes");
	if (name)
		snprintf(v.name, sizeof(v.name), "%s", name);
	else
		stamp(v.name, sizeof(v.name), v.created_ns);
	snprintf(v.message, sizeof(v.message), "%s", message ? message : "");
	return create(s, branch, &v, ret, e);
}

cow_errno cow_snapshot_delete(struct cow_store *s, const char *branch, const char *name,
			      struct cow_error *e)
{
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	struct same_name want = {.name = name};
	struct cow_key k;
	cow_errno r;
	WITH_LOCK(&s->admin);

	if ((r = cow_branch_read(s, branch, &b, e)) < 0)
		return r;
	if (cow_snapshot_each(s, branch, is_same, &want) != 1) {
		cow_fail(e, -ENOENT, "branch %s has no snapshot %s", branch, name);
		return cow_hint(e, -ENOENT, "'cowfs snapshot list %s' shows them.", branch);
	}
	k = cow_key_snap(want.found.lineage, want.found.epoch);
	cow_batch_del(&batch, k.b, k.len);
	if ((r = cow_store_commit(s, &batch)) < 0)
		return cow_fail(e, r, "cannot write: %s", strerror(-r));
	cow_background_gc(s, want.found.lineage);
	return 0;
}

struct listing {
	uint64_t want; /* branch id, 0 = all */
	struct cow_snapshot_info *at;
	size_t n, cap;
};

static int add(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct listing *l = arg;
	struct cow_snap_rec v;
	struct cow_snapshot_info *p;

	if (klen != 17 || cow_snap_decode(val, vlen, &v) < 0)
		return 0; /* verify names it */
	if (l->want && v.branch_id != l->want)
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		void *more = realloc(l->at, cap * sizeof(*l->at));

		if (!more)
			return -ENOMEM;
		l->at = more;
		l->cap = cap;
	}
	p = &l->at[l->n++];
	*p = (struct cow_snapshot_info){.branch_id = v.branch_id,
					.lineage = cow_key_number(key, 0),
					.epoch = cow_key_number(key, 1),
					.created_ns = v.created_ns};
	memcpy(p->name, v.name, sizeof(p->name));
	memcpy(p->message, v.message, sizeof(p->message));
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct cow_snapshot_info *x = a, *y = b;

	if (x->created_ns != y->created_ns)
		return x->created_ns < y->created_ns ? -1 : 1;
	return (x->epoch > y->epoch) - (x->epoch < y->epoch);
}

cow_errno cow_snapshot_each(struct cow_store *s, const char *branch,
			    int (*each)(const struct cow_snapshot_info *p, void *arg), void *arg)
{
	struct listing l = {0};
	struct cow_key k = cow_key_type('S');
	int r = 0;

	if (branch) {
		CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};

		if ((r = cow_branch_read(s, branch, &b, NULL)) < 0)
			return r;
		l.want = b.id;
	}
	r = s->kv->ops->scan(s->kv, k.b, k.len, NULL, 0, add, &l);
	if (r == 0 && l.n)
		qsort(l.at, l.n, sizeof(*l.at), by_time);
	for (size_t n = 0; r == 0 && n < l.n; n++) {
		if (n == 0 || l.at[n].branch_id != l.at[n - 1].branch_id)
			cow_branch_by_id(s, l.at[n].branch_id, l.at[n].branch);
		else
			memcpy(l.at[n].branch, l.at[n - 1].branch, sizeof(l.at[n].branch));
		if (l.at[n].branch[0]) /* else its branch was deleted, and may be had back */
			r = each(&l.at[n], arg);
	}
	free(l.at);
	return r;
}
