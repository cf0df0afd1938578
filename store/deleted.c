// SPDX-License-Identifier: Apache-2.0
/* deleted: the end of a branch, now or later.
 *
 * A branch that is deleted with a time to change one's mind loses its name at once and becomes a
 * 'D' record in the same batch. While that record is there, its lineage counts as named (world.c),
 * so nothing of it is freed; its snapshots stay where they are. What is kept so is lent: it goes
 * when its time is over, and before that, oldest first, when the host's disk runs short of room.
 * That is how "deleting gives space back" stays true on a full disk: there nothing is kept, and
 * what was kept goes. Each of these steps is one synced batch. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/branch_impl.h"
#include "store/cleanup.h"
#include "store/log.h"
#include "store/os.h"

static void release_record(struct cow_deleted_rec *d)
{
	cow_branch_release(&d->branch);
}

/* --- the snapshots of a branch that goes for good --- */

struct snaps_of {
	struct cow_store *s;
	struct cow_batch *b;
	uint64_t id;
};

static int drop_snap(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct snaps_of *w = arg;
	struct cow_snap_rec v;

	if (cow_snap_decode(val, vlen, &v) < 0 || v.branch_id != w->id)
		return 0;
	cow_batch_del(w->b, key, klen);
	cow_background_gc(w->s, cow_key_number(key, 0));
	return 0;
}

static cow_errno drop_snaps(struct cow_store *s, uint64_t id, struct cow_batch *batch)
{
	struct cow_key snaps = cow_key_type('S');
	struct snaps_of w = {s, batch, id};

	return s->kv->ops->scan(s->kv, snaps.b, snaps.len, NULL, 0, drop_snap, &w);
}

/* --- deleting --- */

static cow_errno put_record(struct cow_batch *batch, const struct cow_deleted_rec *d)
{
	CLEANUP(cow_buf_release) struct cow_buf bytes = {0};
	struct cow_key k = cow_key_deleted(d->branch.id);
	cow_errno r = cow_deleted_encode(d, &bytes);

	if (r == 0)
		cow_batch_put(batch, k.b, k.len, bytes.data, bytes.len);
	return r;
}

static bool has_room(struct cow_store *s)
{
	struct cow_room_stat room;

	cow_room_stat(&s->room, &room);
	return room.state == COW_ROOM_PLENTY;
}

/* until_ns 0 = for good. */
static cow_errno delete_branch(struct cow_store *s, const char *name, int64_t until_ns,
			       cow_branch_edit_fn *edit, void *arg, struct cow_error *e)
{
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	CLEANUP(release_record)
	struct cow_deleted_rec d = {.deleted_ns = cow_os_now_ns(), .until_ns = until_ns};
	struct cow_branch_rec *b = &d.branch;
	struct cow_key k = cow_key_branch(name);
	uint64_t def;
	cow_errno r;

	if ((r = cow_branch_read(s, name, b, e)) < 0 ||
	    (r = cow_branch_must_be_closed(s, name, b, e)) < 0 ||
	    (r = cow_branch_edit_record(b, edit, arg, e)) < 0)
		return r;
	if ((r = cow_meta_get(s, "default", &def)) < 0)
		return cow_fail(e, r, "the map is damaged");
	snprintf(d.name, sizeof(d.name), "%s", name);
	d.flags = def == b->id ? COW_DELETED_DEFAULT : 0;
	/* Files that could not be written are poisoned, on record, and stay so (rule 5). */
	if (until_ns && cow_branch_keep_written(s, b->incarnation) < 0)
		cow_log_warn("not all of %s could be written before it was deleted", name);
	if ((r = until_ns ? put_record(&batch, &d) : drop_snaps(s, b->id, &batch)) < 0)
		return cow_fail(e, r, "the map is damaged");
	cow_batch_del(&batch, k.b, k.len);
	if (def == b->id)
		cow_meta_put(&batch, "default", 0);
	if ((r = cow_store_commit(s, &batch)) < 0)
		return cow_fail(e, r, "cannot write: %s", strerror(-r));
	cow_branch_named(s, b->id, NULL);
	cow_branch_retire(s, b->incarnation);
	if (!until_ns)
		cow_background_gc(s, b->lineage);
	return 0;
}

cow_errno cow_branch_delete_until(struct cow_store *s, const char *name, int64_t until_ns,
				  cow_branch_edit_fn *edit, void *arg, bool *ret_kept,
				  struct cow_error *e)
{
	cow_errno r;

	pthread_mutex_lock(&s->admin);
	if (until_ns && !has_room(s))
		until_ns = 0;
	r = delete_branch(s, name, until_ns, edit, arg, e);
	pthread_mutex_unlock(&s->admin);
	if (ret_kept)
		*ret_kept = r == 0 && until_ns;
	if (r == 0)
		cow_branch_tell(s, name);
	return r;
}

cow_errno cow_branch_delete(struct cow_store *s, const char *name, struct cow_error *e)
{
	return cow_branch_delete_until(s, name, 0, NULL, NULL, NULL, e);
}

/* --- having it back, or not --- */

/* admin held */
static cow_errno read_record(struct cow_store *s, uint64_t id, struct cow_deleted_rec *ret,
			     struct cow_error *e)
{
	CLEANUP(cow_buf_release) struct cow_buf v = {0};
	struct cow_key k = cow_key_deleted(id);
	cow_errno r = cow_kv_get(s->kv, k.b, k.len, &v);

	if (r == -ENOENT) {
		cow_fail(e, r, "there is no such deleted branch");
		return cow_hint(e, r, "'cowfs branch list --deleted' shows them.");
	}
	if (r == 0)
		r = cow_deleted_decode(v.data, v.len, ret);
	return r < 0 ? cow_fail(e, r, "the record of a deleted branch is damaged") : 0;
}

static cow_errno undelete(struct cow_store *s, struct cow_deleted_rec *d, const char *as,
			  struct cow_error *e)
{
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	struct cow_key k = cow_key_deleted(d->branch.id);
	struct cow_lineage_rec rec;
	uint64_t def;
	cow_errno r;

	if ((r = cow_branch_must_be_free(s, as, e)) < 0)
		return r;
	if ((r = cow_lineage_get(s, d->branch.lineage, &rec)) < 0 ||
	    (r = cow_meta_get(s, "default", &def)) < 0 ||
	    (r = cow_id_next(s, COW_ID_INCARNATION, &d->branch.incarnation)) < 0)
		return cow_fail(e, r, "cannot read the contents of %s: %s", d->name, strerror(-r));
	cow_batch_del(&batch, k.b, k.len);
	cow_branch_put(&batch, as, &d->branch);
	if (def == 0 && d->flags & COW_DELETED_DEFAULT)
		cow_meta_put(&batch, "default", d->branch.id);
	r = cow_store_commit(s, &batch);
	if (r < 0)
		return cow_fail(e, r, "cannot write: %s", strerror(-r));
	cow_branch_named(s, d->branch.id, as);
	return 0;
}

cow_errno cow_branch_undelete(struct cow_store *s, uint64_t id, const char *as,
			      const char *settings, struct cow_error *e)
{
	CLEANUP(release_record) struct cow_deleted_rec d = {0};
	cow_errno r;

	pthread_mutex_lock(&s->admin);
	r = read_record(s, id, &d, e);
	if (r == 0 && settings) {
		free(d.branch.settings);
		d.branch.settings = strdup(settings);
		r = d.branch.settings ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = undelete(s, &d, as ? as : d.name, e);
	pthread_mutex_unlock(&s->admin);
	if (r == 0)
		cow_branch_tell(s, as ? as : d.name);
	return r;
}

/* admin held */
static cow_errno purge(struct cow_store *s, const struct cow_deleted_rec *d, struct cow_error *e)
{
	CLEANUP(cow_batch_release) struct cow_batch batch = {0};
	struct cow_key k = cow_key_deleted(d->branch.id);
	cow_errno r;

	if ((r = drop_snaps(s, d->branch.id, &batch)) < 0)
		return cow_fail(e, r, "the map is damaged");
	cow_batch_del(&batch, k.b, k.len);
	if ((r = cow_store_commit(s, &batch)) < 0)
		return cow_fail(e, r, "cannot write: %s", strerror(-r));
	cow_background_gc(s, d->branch.lineage);
	return 0;
}

cow_errno cow_deleted_purge(struct cow_store *s, uint64_t id, struct cow_error *e)
{
	CLEANUP(release_record) struct cow_deleted_rec d = {0};
	cow_errno r;
	WITH_LOCK(&s->admin);

	r = read_record(s, id, &d, e);
	return r < 0 ? r : purge(s, &d, e);
}

/* --- by itself --- */

struct due {
	int64_t now;
	bool any; /* the oldest, whatever its time */
	uint64_t id;
	int64_t deleted_ns;
};

static int find_due(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	CLEANUP(release_record) struct cow_deleted_rec d = {0};
	struct due *w = arg;

	if (klen != 9 || cow_deleted_decode(val, vlen, &d) < 0)
		return 0;
	if ((w->any || d.until_ns <= w->now) && (!w->id || d.deleted_ns < w->deleted_ns)) {
		w->id = d.branch.id;
		w->deleted_ns = d.deleted_ns;
	}
	return 0;
}

/* The one that is to go next; admin held. 0 = none. */
static uint64_t next_due(struct cow_store *s, bool any)
{
	struct cow_key k = cow_key_type('D');
	struct due w = {.now = cow_os_now_ns(), .any = any};

	return s->kv->ops->scan(s->kv, k.b, k.len, NULL, 0, find_due, &w) < 0 ? 0 : w.id;
}

static bool purge_next(struct cow_store *s, bool any)
{
	CLEANUP(release_record) struct cow_deleted_rec d = {0};
	struct cow_error e = COW_ERROR_INIT;
	uint64_t id;
	WITH_LOCK(&s->admin);

	id = next_due(s, any);
	if (!id || read_record(s, id, &d, &e) < 0)
		return false;
	if (purge(s, &d, &e) < 0) {
		cow_log_error("deleted branch %s (br-%08" PRIx64 ") cannot be purged: %s", d.name,
			      id, e.text);
		return false;
	}
	cow_log_info("deleted branch %s (br-%08" PRIx64 ") was purged: %s", d.name, id,
		     any ? "the disk has too little room" : "its time to be had back is over");
	return true;
}

void cow_deleted_expire(struct cow_store *s)
{
	while (purge_next(s, false))
		;
	/* One at a time: gc has to show first how much it gave. */
	if (!has_room(s))
		purge_next(s, true);
}
