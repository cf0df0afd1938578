// SPDX-License-Identifier: Apache-2.0
/* branch_change: reset, restore, promote, recover, rename, settings.
 *
 * Names, ports and settings stay where they are; what changes is the lineage that a name leads to,
 * and with it the incarnation. The old incarnation goes stale: pages that the kernel still pushes
 * for it are dropped, so they can never reach the new one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/branch_impl.h"
#include "store/cleanup.h"
#include "store/os.h"

static uint64_t opens_of(struct cow_store *s, uint64_t incarnation, bool writers)
{
	struct cow_live *l = cow_live_find(s, incarnation);
	uint64_t n = l ? (writers ? l->writers : l->opens) : 0;

	cow_live_put(l);
	return n;
}

cow_errno cow_branch_must_be_closed(struct cow_store *s, const char *name,
				    const struct cow_branch_rec *b, struct cow_error *e)
{
	uint64_t n = opens_of(s, b->incarnation, false);

	if (n == 0)
		return 0;
	cow_fail(e, -EBUSY, "branch %s has %llu open files", name, (unsigned long long)n);
	return cow_hint(e, -EBUSY, "Stop what uses it first: 'cowfs stop %s'.", name);
}

cow_errno cow_branch_keep_written(struct cow_store *s, uint64_t incarnation)
{
	struct cow_live *l = cow_live_find(s, incarnation);
	cow_errno r = l ? cow_live_sync(l) : 0;

	cow_live_put(l);
	return r;
}

void cow_branch_retire(struct cow_store *s, uint64_t incarnation)
{
	struct cow_live *l = cow_live_find(s, incarnation);

	if (l)
		cow_live_retire(l);
	cow_live_put(l);
}

uint64_t cow_branch_open_files(struct cow_store *s, const char *name)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};

	return cow_branch_read(s, name, &b, NULL) < 0 ? 0 : opens_of(s, b.incarnation, false);
}

uint64_t cow_branch_open_writers(struct cow_store *s, const char *name)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};

	return cow_branch_read(s, name, &b, NULL) < 0 ? 0 : opens_of(s, b.incarnation, true);
}

/* --- reset and restore --- */

struct reset {
	const struct cow_branch_reset *asked;
	struct cow_branch_grow grow;
};

cow_errno cow_branch_edit_record(struct cow_branch_rec *b, cow_branch_edit_fn *edit, void *arg,
				 struct cow_error *e)
{
	char *text = NULL;
	cow_errno r = edit ? edit(arg, b->settings, &text, e) : 0;

	if (r < 0 || !edit)
		return r;
	free(b->settings);
	b->settings = text;
	return 0;
}

/* The old contents under another name, in the same batch. */
static cow_errno preserve(struct cow_store *s, const struct reset *how,
			  const struct cow_branch_rec *old, struct cow_batch *batch,
			  uint64_t *ret_id, struct cow_error *e)
{
	struct cow_branch_rec kept = *old;
	cow_errno r = cow_branch_must_be_free(s, how->asked->preserve_under, e);

	if (r < 0)
		return r;
	kept.created_ns = cow_os_now_ns();
	kept.settings = (char *)"{}";
	kept.quota = 0;
	if ((r = cow_id_next(s, COW_ID_BRANCH, &kept.id)) < 0 ||
	    (r = cow_id_next(s, COW_ID_INCARNATION, &kept.incarnation)) < 0)
		return r;
	cow_branch_put(batch, how->asked->preserve_under, &kept);
	*ret_id = kept.id;
	return 0;
}

static cow_errno swap_in(struct cow_store *s, const struct reset *how, struct cow_branch_rec *b,
			 const struct cow_branch_rec *old, struct cow_error *e)
{
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	uint64_t kept_id = 0;
	cow_errno r = 0;

	if (how->asked->preserve_under && ((r = preserve(s, how, old, &batch, &kept_id, e)) < 0 ||
					   (r = cow_branch_keep_written(s, old->incarnation)) < 0))
		return r;
	cow_branch_put(&batch, how->asked->name, b);
	r = cow_store_commit(s, &batch);
	if (r < 0)
		return cow_fail(e, r, "cannot write branch %s: %s", how->asked->name, strerror(-r));
	cow_branch_retire(s, old->incarnation);
	if (how->asked->preserve_under)
		cow_branch_named(s, kept_id, how->asked->preserve_under);
	else
		cow_background_gc(s, old->lineage);
	return 0;
}

static cow_errno reset(struct cow_store *s, struct reset *how, struct cow_error *e)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec old = {0};
	const struct cow_branch_reset *asked = how->asked;
	struct cow_branch_rec b;
	struct cow_live *l = NULL;
	struct cow_ref ref;
	cow_errno r;

	if ((r = cow_branch_read(s, asked->name, &old, e)) < 0 ||
	    (r = cow_branch_must_be_closed(s, asked->name, &old, e)) < 0 ||
	    (r = cow_branch_edit_record(&old, asked->edit, asked->edit_arg, e)) < 0)
		return r;
	r = cow_branch_point(s, asked->source ? asked->source : "^parent", asked->name, &ref, e);
	if (r < 0)
		return r;
	b = old; /* shares settings with it */
	b.reset_ns = cow_os_now_ns();
	b.data_ns = ref.time_ns;
	if (ref.branch.id != old.id)
		b.parent_id = ref.branch.id;
	cow_branch_release(&ref.branch);
	how->grow.at = ref.at;
	how->grow.ephemeral = old.flags & COW_BRANCH_EPHEMERAL;
	if ((r = cow_branch_grow(s, &how->grow, &b, &l, e)) < 0)
		return r;
	r = swap_in(s, how, &b, &old, e);
	if (r < 0)
		cow_live_retire(l);
	cow_live_put(l);
	return r;
}

cow_errno cow_branch_reset(struct cow_store *s, const struct cow_branch_reset *asked,
			   struct cow_error *e)
{
	struct reset how = {asked, {.prepare = asked->prepare, .arg = asked->arg}};
	cow_errno r;

	pthread_mutex_lock(&s->admin);
	r = reset(s, &how, e);
	pthread_mutex_unlock(&s->admin);
	if (r == 0)
		cow_branch_tell(s, asked->name);
	if (r == 0 && asked->preserve_under)
		cow_branch_tell(s, asked->preserve_under);
	return r;
}

/* --- promote --- */

struct exchange {
	cow_branch_exchange_fn *edit; /* may be NULL */
	void *arg;
	const char *other;
};

static cow_errno edit_exchanged(void *arg, const char *was, char **ret, struct cow_error *e)
{
	const struct exchange *x = arg;

	return x->edit(x->arg, x->other, was, ret, e);
}

static cow_errno promote(struct cow_store *s, const char *name, char def_name[COW_BRANCH_MAX + 1],
			 struct exchange x, struct cow_error *e)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec a = {0};
	CLEANUP(cow_branch_release) struct cow_branch_rec d = {0};
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	struct cow_branch_rec na, nd;
	uint64_t id;
	cow_errno r;

	if ((r = cow_branch_read(s, name, &a, e)) < 0)
		return r;
	if ((r = cow_meta_get(s, "default", &id)) < 0 ||
	    (r = cow_branch_by_id(s, id, def_name)) < 0)
		return cow_fail(e, r, "there is no default branch");
	if (id == a.id)
		return cow_fail(e, -EEXIST, "branch %s is the default branch already", name);
	if ((r = cow_branch_read(s, def_name, &d, e)) < 0 ||
	    (r = cow_branch_must_be_closed(s, name, &a, e)) < 0 ||
	    (r = cow_branch_must_be_closed(s, def_name, &d, e)) < 0)
		return r;
	x.other = def_name;
	r = cow_branch_edit_record(&a, x.edit ? edit_exchanged : NULL, &x, e);
	x.other = name;
	if (r == 0)
		r = cow_branch_edit_record(&d, x.edit ? edit_exchanged : NULL, &x, e);
	if (r < 0)
		return r;
	na = a;
	nd = d;
	na.lineage = d.lineage;
	na.flags = (uint8_t)((a.flags & ~COW_BRANCH_EPHEMERAL) | (d.flags & COW_BRANCH_EPHEMERAL));
	nd.lineage = a.lineage;
	nd.flags = (uint8_t)((d.flags & ~COW_BRANCH_EPHEMERAL) | (a.flags & COW_BRANCH_EPHEMERAL));
	na.reset_ns = nd.reset_ns = cow_os_now_ns();
	if ((r = cow_id_next(s, COW_ID_INCARNATION, &na.incarnation)) < 0 ||
	    (r = cow_id_next(s, COW_ID_INCARNATION, &nd.incarnation)) < 0)
		return r;
	cow_branch_put(&batch, name, &na);
	cow_branch_put(&batch, def_name, &nd);
	/* What was written to the old incarnations goes with their lineages. */
	if ((r = cow_branch_keep_written(s, a.incarnation)) < 0 ||
	    (r = cow_branch_keep_written(s, d.incarnation)) < 0 ||
	    (r = cow_store_commit(s, &batch)) < 0)
		return cow_fail(e, r, "cannot write: %s", strerror(-r));
	cow_branch_retire(s, a.incarnation);
	cow_branch_retire(s, d.incarnation);
	return 0;
}

cow_errno cow_branch_promote(struct cow_store *s, const char *name, cow_branch_exchange_fn *edit,
			     void *arg, struct cow_error *e)
{
	char def_name[COW_BRANCH_MAX + 1];
	cow_errno r;

	pthread_mutex_lock(&s->admin);
	r = promote(s, name, def_name, (struct exchange){.edit = edit, .arg = arg}, e);
	pthread_mutex_unlock(&s->admin);
	if (r == 0) {
		cow_branch_tell(s, name);
		cow_branch_tell(s, def_name);
	}
	return r;
}

/* --- recover --- */

struct healing {
	struct cow_store *s;
	struct cow_batch *b;
	uint64_t epoch;
};

/* The host's pages of the file say what was meant to be written, its disk may not: forget the
 * pages. */
static int heal_file(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct healing *h = arg;
	char path[64];
	int fd;

	if (klen != 17)
		return 0;
	cow_batch_del(h->b, key, klen);
	cow_extent_path(cow_key_number(key, 0), h->epoch, cow_key_number(key, 1), path);
	fd = cow_os_open(h->s->dirfd, path, O_RDONLY, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	fsync(fd); /* clean pages can be dropped; its error is the one that is already on record */
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return 0;
}

/* A new incarnation over the same lineage, at a new head epoch: nothing is written on in a file
 * that failed. */
static cow_errno recover(struct cow_store *s, const char *name, struct cow_error *e)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	struct cow_key k;
	struct cow_lineage_rec rec;
	struct healing h = {s, &batch, 0};
	uint64_t old;
	cow_errno r;

	if ((r = cow_branch_read(s, name, &b, e)) < 0 ||
	    (r = cow_branch_must_be_closed(s, name, &b, e)) < 0)
		return r;
	old = b.incarnation;
	k = cow_key_type1('P', b.lineage);
	if ((r = cow_lineage_get(s, b.lineage, &rec)) < 0 ||
	    (r = cow_id_next(s, COW_ID_INCARNATION, &b.incarnation)) < 0)
		return cow_fail(e, r, "cannot read branch %s: %s", name, strerror(-r));
	h.epoch = rec.head++;
	r = s->kv->ops->scan(s->kv, k.b, k.len, NULL, 0, heal_file, &h);
	cow_lineage_put(&batch, b.lineage, &rec);
	cow_branch_put(&batch, name, &b);
	if (r == 0)
		r = cow_store_commit(s, &batch);
	if (r < 0)
		return cow_fail(e, r, "cannot recover branch %s: %s", name, strerror(-r));
	cow_branch_retire(s, old);
	cow_background_gc(s, b.lineage);
	return 0;
}

cow_errno cow_branch_recover(struct cow_store *s, const char *name, struct cow_error *e)
{
	cow_errno r;

	pthread_mutex_lock(&s->admin);
	r = recover(s, name, e);
	pthread_mutex_unlock(&s->admin);
	if (r == 0)
		cow_branch_tell(s, name);
	return r;
}

cow_errno cow_branch_set_waiting(struct cow_store *s, const char *name, bool wait,
				 struct cow_error *e)
{
	struct cow_live *l;
	cow_errno r = cow_live_get(s, name, &l, e);

	if (r < 0)
		return r;
	l->gives_up = !wait;
	cow_room_turn(&s->room);
	cow_live_put(l);
	return 0;
}

/* --- rename, settings --- */

/* `running`: whoever works in its directory goes on, so the incarnation stays, and is only shown
 * under another name. */
static cow_errno rename_branch(struct cow_store *s, const char *from, const char *to, bool running,
			       cow_branch_edit_fn *edit, void *arg, struct cow_error *e)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	struct cow_key k = cow_key_branch(from);
	uint64_t old;
	cow_errno r;

	if ((r = cow_branch_read(s, from, &b, e)) < 0 ||
	    (r = cow_branch_must_be_free(s, to, e)) < 0 ||
	    (!running && (r = cow_branch_must_be_closed(s, from, &b, e)) < 0))
		return r;
	old = b.incarnation;
	if (!running && (r = cow_id_next(s, COW_ID_INCARNATION, &b.incarnation)) < 0)
		return r;
	if ((r = cow_branch_edit_record(&b, edit, arg, e)) < 0)
		return r;
	cow_batch_del(&batch, k.b, k.len);
	cow_branch_put(&batch, to, &b);
	if ((!running && (r = cow_branch_keep_written(s, old)) < 0) ||
	    (r = cow_store_commit(s, &batch)) < 0)
		return cow_fail(e, r, "cannot write: %s", strerror(-r));
	cow_branch_named(s, b.id, to);
	if (!running)
		cow_branch_retire(s, old);
	return 0;
}

static cow_errno rename_and_tell(struct cow_store *s, const char *from, const char *to,
				 bool running, cow_branch_edit_fn *edit, void *arg,
				 struct cow_error *e)
{
	cow_errno r;

	pthread_mutex_lock(&s->admin);
	r = rename_branch(s, from, to, running, edit, arg, e);
	pthread_mutex_unlock(&s->admin);
	if (r == 0) {
		cow_branch_tell(s, from);
		cow_branch_tell(s, to);
	}
	return r;
}

cow_errno cow_branch_rename(struct cow_store *s, const char *from, const char *to,
			    struct cow_error *e)
{
	return rename_and_tell(s, from, to, false, NULL, NULL, e);
}

cow_errno cow_branch_rename_running(struct cow_store *s, const char *from, const char *to,
				    cow_branch_edit_fn *edit, void *arg, struct cow_error *e)
{
	return rename_and_tell(s, from, to, true, edit, arg, e);
}

cow_errno cow_branch_set_default(struct cow_store *s, const char *name, struct cow_error *e)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	cow_errno r;
	WITH_LOCK(&s->admin);

	if ((r = cow_branch_read(s, name, &b, e)) < 0)
		return r;
	cow_meta_put(&batch, "default", b.id);
	r = cow_store_commit(s, &batch);
	return r < 0 ? cow_fail(e, r, "cannot write: %s", strerror(-r)) : 0;
}

cow_errno cow_branch_edit(struct cow_store *s, const char *name, cow_branch_edit_fn *edit,
			  void *arg, struct cow_error *e)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	cow_errno r;
	WITH_LOCK(&s->admin);

	if ((r = cow_branch_read(s, name, &b, e)) < 0 ||
	    (r = cow_branch_edit_record(&b, edit, arg, e)) < 0)
		return r;
	cow_branch_put(&batch, name, &b);
	r = cow_store_commit(s, &batch);
	return r < 0 ? cow_fail(e, r, "cannot write: %s", strerror(-r)) : 0;
}

/* --- what became of the parent --- */

cow_errno cow_branch_moved(struct cow_store *s, const char *name, enum cow_branch_moved *ret,
			   struct cow_error *e)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	CLEANUP(cow_branch_release) struct cow_branch_rec p = {0};
	char parent[COW_BRANCH_MAX + 1];
	struct cow_lineage_rec own;
	struct cow_live *l;
	cow_errno r;
	WITH_LOCK(&s->admin);

	*ret = COW_MOVED_REPLACED;
	if ((r = cow_branch_read(s, name, &b, e)) < 0)
		return r;
	if ((r = cow_lineage_get(s, b.lineage, &own)) < 0)
		return cow_fail(e, r, "the lineage of %s is damaged", name);
	if (cow_branch_by_id(s, b.parent_id, parent) < 0 ||
	    cow_branch_read(s, parent, &p, NULL) < 0 || p.lineage != own.parent)
		return 0;
	l = cow_live_find(s, p.incarnation);
	*ret = l && cow_head(l) == own.fork_epoch + 1 && !l->head_written ? COW_MOVED_NOT
									  : COW_MOVED_WRITTEN;
	cow_live_put(l);
	return 0;
}
