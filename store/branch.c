// SPDX-License-Identifier: Apache-2.0
/* branch: making branches and changing what they name.
 *
 * Creation: (1) the point of the parent, closing its head if it is wanted as it is now; (2) a
 * lineage over it, which nobody can see; (3) `prepare` writes into it; (4) everything durable and
 * the branch record in one synced batch. Before (4) a crash leaves a lineage without a branch,
 * which gc drops. */
#include "store/branch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/branch_impl.h"
#include "store/cleanup.h"
#include "store/log.h"
#include "store/os.h"
#include "store/touched.h"

void cow_branch_put(struct cow_batch *b, const char *name, const struct cow_branch_rec *v)
{
	CLEANUP(cow_buf_release) struct cow_buf bytes = {0};
	struct cow_key k = cow_key_branch(name);

	if (cow_branch_encode(v, &bytes) < 0)
		b->failed = -ENOMEM;
	else
		cow_batch_put(b, k.b, k.len, bytes.data, bytes.len);
}

void cow_branch_tell(struct cow_store *s, const char *name)
{
	if (s->changed)
		s->changed(s->changed_arg, name);
}

void cow_branch_watch(struct cow_store *s, void (*changed)(void *arg, const char *name), void *arg)
{
	WITH_LOCK(&s->admin);

	s->changed = changed;
	s->changed_arg = arg;
}

/* A lineage over `at` (or over nothing) with a live that only the caller knows. */
static cow_errno make_lineage(struct cow_store *s, struct cow_point at, uint64_t root,
			      bool ephemeral, struct cow_branch_rec *b, struct cow_live **ret)
{
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	struct cow_lineage_rec rec = {
	    .parent = at.lineage,
	    .fork_epoch = at.epoch,
	    .head = 1,
	    .root = root,
	    .flags = ephemeral ? COW_LINEAGE_EPHEMERAL : 0,
	    .created_ns = cow_os_now_ns(),
	};
	cow_errno r;

	if (ephemeral)
		memcpy(rec.boot, s->boot_id, sizeof(rec.boot));
	if ((r = cow_id_next(s, COW_ID_LINEAGE, &b->lineage)) < 0 ||
	    (r = cow_id_next(s, COW_ID_INCARNATION, &b->incarnation)) < 0)
		return r;
	cow_lineage_put(&batch, b->lineage, &rec);
	if ((r = cow_kv_write(s->kv, &batch, false)) < 0)
		return r;
	r = cow_live_open(s, b, ret);
	if (r == 0) {
		(*ret)->head_written = false;
		cow_touched_born((*ret)->chain[0].touched);
	}
	return r;
}

/* The root directory of a base. */
static cow_errno make_root(struct cow_live *l, const struct cow_branch_create *how)
{
	const struct cow_name_create dir = {
	    .mode = S_IFDIR | (how->root_mode & 07777),
	    .uid = how->root_uid,
	    .gid = how->root_gid,
	};
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	struct cow_inode *i;
	cow_errno r = cow_inode_make(l, l->root, &dir, &i);

	if (r < 0)
		return r;
	pthread_mutex_lock(&i->map);
	cow_inode_put_record(i, &b);
	pthread_mutex_unlock(&i->map);
	r = cow_kv_write(l->s->kv, &b, false);
	cow_inode_put(i);
	return r;
}

/* The point that the reference means; of a head the state of now. admin held. */
static cow_errno point_of(struct cow_store *s, struct cow_ref *ref, struct cow_error *e)
{
	struct cow_live *l = NULL;
	cow_errno r = 0;

	if (!ref->head)
		return 0;
	if ((r = cow_live_open(s, &ref->branch, &l)) < 0)
		return cow_fail(e, r, "cannot open branch %s: damaged lineage", ref->name);
	ref->time_ns = cow_os_now_ns();
	r = cow_live_seal(l, &ref->at, e);
	if (r < 0)
		cow_wrap(e, r, "branch %s", ref->name);
	cow_live_put(l);
	return r;
}

/* Steps (2) and (3): a prepared lineage, its data durable and its records put, so that they are
 * durable with the record that names it; its ids in `b`. */
cow_errno cow_branch_grow(struct cow_store *s, struct cow_branch_grow *g, struct cow_branch_rec *b,
			  struct cow_live **ret, struct cow_error *e)
{
	struct cow_live *l = NULL;
	struct cow_lineage_rec parent;
	uint64_t root;
	cow_errno r;

	if (g->at.lineage)
		r = cow_lineage_get(s, g->at.lineage, &parent);
	else
		r = cow_id_next(s, COW_ID_INO, &root);
	if (r == 0)
		r = make_lineage(s, g->at, g->at.lineage ? parent.root : root, g->ephemeral, b, &l);
	if (r == 0 && !g->at.lineage)
		r = make_root(l, g->empty);
	if (r < 0)
		cow_fail(e, r, "cannot make a lineage: %s", strerror(-r));
	if (r == 0 && g->prepare)
		r = g->prepare(l, g->arg, e);
	if (r == 0 && (r = cow_live_put_dirty(l)) < 0)
		cow_fail(e, r, "cannot write the new branch: %s", strerror(-r));
	if (r < 0 && l) {
		cow_live_retire(l);
		cow_live_put(l);
		cow_background_gc(s, b->lineage);
		return r;
	}
	*ret = l;
	return r;
}

/* a beside a/b: one would be a directory of the other. */
static cow_errno check_free(struct cow_store *s, const char *name, struct cow_error *e)
{
	CLEANUP(cow_buf_release) struct cow_buf key = {0};
	CLEANUP(cow_buf_release) struct cow_buf val = {0};
	char part[COW_BRANCH_MAX + 2];
	struct cow_key k = cow_key_branch(name);
	cow_errno r = cow_branch_name_check(name, e);

	if (r < 0)
		return r;
	if (cow_kv_get(s->kv, k.b, k.len, &val) != -ENOENT)
		return cow_fail(e, -EEXIST, "branch %s exists already", name);
	for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t n = (size_t)(slash - name);

		memcpy(part, name, n);
		part[n] = '\0';
		k = cow_key_branch(part);
		if (cow_kv_get(s->kv, k.b, k.len, &val) != -ENOENT)
			return cow_fail(e, -EEXIST, "%s cannot be made: branch %s is in the way",
					name, part);
	}
	k = cow_key_branch(name);
	k.b[k.len++] = '/';
	if (s->kv->ops->seek(s->kv, k.b, k.len, k.len, &key, &val) == -ENOENT)
		return 0;
	return cow_fail(e, -EEXIST, "%s cannot be made: branch %.*s is in the way", name,
			(int)key.len - 1, (const char *)key.data + 1);
}

cow_errno cow_branch_must_be_free(struct cow_store *s, const char *name, struct cow_error *e)
{
	cow_errno r = check_free(s, name, e);

	if (r == -EEXIST)
		cow_hint(e, r, "Choose another name, or delete that branch first.");
	return r;
}

cow_errno cow_branch_default(struct cow_store *s, char ret[COW_BRANCH_MAX + 1], struct cow_error *e)
{
	uint64_t id;
	cow_errno r = cow_meta_get(s, "default", &id);

	ret[0] = '\0';
	if (r == 0)
		r = cow_branch_by_id(s, id, ret);
	if (r < 0) {
		cow_fail(e, r, "there is no default branch");
		cow_hint(e, r,
			 "Name a parent with --parent, choose one for good with cowfs branch "
			 "set-default, or import a database.");
	}
	return r;
}

/* Step (1). */
static cow_errno choose_point(struct cow_store *s, const struct cow_branch_create *how,
			      struct cow_branch_rec *b, struct cow_point *ret, struct cow_error *e)
{
	char name[COW_BRANCH_MAX + 1];
	struct cow_ref ref;
	cow_errno r = 0;

	*ret = (struct cow_point){0};
	if (how->empty)
		return 0;
	if (!how->parent && (r = cow_branch_default(s, name, e)) < 0)
		return r;
	r = cow_ref_resolve(s, how->parent ? how->parent : name, NULL, &ref, e);
	if (r < 0)
		return r;
	r = point_of(s, &ref, e);
	b->parent_id = ref.branch.id;
	b->data_ns = ref.time_ns;
	*ret = ref.at;
	cow_branch_release(&ref.branch);
	return r;
}

static cow_errno publish(struct cow_store *s, const char *name, const struct cow_branch_rec *b,
			 struct cow_error *e)
{
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	uint64_t def;
	cow_errno r = cow_meta_get(s, "default", &def);

	/* A base is what others are made from. After the default branch was deleted a child of
	 * something does not slip into its place: that is for somebody to say. */
	if (r == 0 && def == 0 && b->parent_id == 0)
		cow_meta_put(&batch, "default", b->id);
	cow_branch_put(&batch, name, b);
	if (r == 0)
		r = cow_store_commit(s, &batch);
	if (r < 0)
		return cow_fail(e, r, "cannot write branch %s: %s", name, strerror(-r));
	cow_branch_named(s, b->id, name);
	return 0;
}

static cow_errno create(struct cow_store *s, const struct cow_branch_create *how,
			struct cow_error *e)
{
	CLEANUP(cow_branch_release)
	struct cow_branch_rec b = {
	    .created_ns = cow_os_now_ns(),
	    .flags = how->ephemeral ? COW_BRANCH_EPHEMERAL : 0,
	    .quota = how->quota,
	};
	struct cow_branch_grow g = {
	    .empty = how, .ephemeral = how->ephemeral, .prepare = how->prepare, .arg = how->arg};
	struct cow_live *l = NULL;
	cow_errno r;

	if ((r = cow_room_take(&s->room, COW_ROOM_NEW, 0)) < 0) {
		cow_fail(e, r, "the host's disk has too little room for a new branch");
		return cow_hint(e, r,
				"Delete branches or snapshots, or free space beside the store.");
	}
	if ((r = cow_branch_must_be_free(s, how->name, e)) < 0 ||
	    (r = choose_point(s, how, &b, &g.at, e)) < 0)
		return r;
	if (!(b.settings = strdup(how->settings ? how->settings : "{}")))
		return -ENOMEM;
	if ((r = cow_id_next(s, COW_ID_BRANCH, &b.id)) < 0 ||
	    (r = cow_branch_grow(s, &g, &b, &l, e)) < 0)
		return r;
	r = publish(s, how->name, &b, e);
	if (r < 0)
		cow_live_retire(l);
	else if (how->ephemeral)
		cow_log_info("branch %s is ephemeral: it does not survive a crash of the machine",
			     how->name);
	cow_live_put(l);
	return r;
}

cow_errno cow_branch_create(struct cow_store *s, const struct cow_branch_create *how,
			    struct cow_error *e)
{
	cow_errno r;

	pthread_mutex_lock(&s->admin);
	r = create(s, how, e);
	pthread_mutex_unlock(&s->admin);
	if (r == 0)
		cow_branch_tell(s, how->name);
	return r;
}

/* The point of a reference for others than branch operations. */
cow_errno cow_branch_point(struct cow_store *s, const char *reference, const char *self,
			   struct cow_ref *ret, struct cow_error *e)
{
	cow_errno r = cow_ref_resolve(s, reference, self, ret, e);

	if (r == 0 && (r = point_of(s, ret, e)) < 0)
		cow_branch_release(&ret->branch);
	return r;
}
