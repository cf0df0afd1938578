// SPDX-License-Identifier: Apache-2.0
/* core: the structures behind store.h, live.h, inode.h and file.h. Private to store/.
 *
 * Lock order, outer first; take none of an earlier line while holding one of a later line:
 *   store.admin      one branch operation at a time
 *   live.freeze      shared by every modification, exclusive for the switch of the head epoch
 *   live.names       names of the branch: shared to look up, exclusive to change
 *   inode.io         shared to write, exclusive to truncate or punch
 *   inode.own        the block lock: first writes into blocks that the head does not own
 *   inode.commit     one commit of a file at a time; several in ascending inode number
 *   inode.map        attributes and block map in memory; never held during I/O on extent files
 *   live.table, live.dirty_lock, store.lives_lock, store.ids, store.touched_lock and the locks of
 *   a cow_touched and of branch_names   leaves */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>

#include "store/branch.h"
#include "store/extent.h"
#include "store/file.h"
#include "store/format.h"
#include "store/grace.h"
#include "store/kv.h"
#include "store/room.h"
#include "store/upkeep.h"

struct cow_point {
	uint64_t lineage, epoch;
};

/* branch_names.c: ascending by id */
struct cow_branch_names {
	pthread_mutex_t lock; /* a leaf */
	size_t n, cap;
	struct {
		uint64_t id;
		char *name;
	} * at;
	bool incomplete; /* memory ran out once: what is not here may be in the map */
};

struct cow_summer;  /* summer.c */
struct cow_touched; /* touched.h */

enum { COW_TOUCHED_LISTS = 256 };

struct cow_store {
	char *path;
	int dirfd, lock_fd;
	struct cow_store_options options;
	struct cow_kv *kv;
	struct cow_extents *extents;
	struct cow_grace grace;
	struct cow_room room;
	bool recovered, numbers_agree; /* set by open; gc punches heads only if they agree */

	pthread_mutex_t reclaiming; /* one gc at a time; outside admin */
	pthread_mutex_t admin;

	pthread_mutex_t lives_lock;
	TAILQ_HEAD(, cow_live) lives;

	pthread_mutex_t touched_lock;
	LIST_HEAD(, cow_touched) touched[COW_TOUCHED_LISTS]; /* by lineage */

	struct cow_branch_names branch_names;

	pthread_mutex_t ids; /* the counters of ids.c */
	struct {
		uint64_t next, reserved;
	} id[4];

	/* Name changes put into the map, and how far they are durable. */
	_Atomic uint64_t name_seq, synced_seq;
	_Atomic uint64_t commits, commits_kept; /* synced batches; how many the number covers */
	_Atomic uint64_t commit_number;
	_Atomic uint64_t cached_bytes;
	_Atomic uint64_t inodes_freed; /* since their memory was given back to the machine */

	void (*changed)(void *arg, const char *name); /* admin */
	void *changed_arg;

	/* background.c */
	pthread_t worker;
	pthread_mutex_t worker_lock;
	pthread_cond_t worker_wake;
	_Atomic bool ending;                      /* long walks give up */
	bool worker_runs, worker_stop, gc_wanted; /* worker_lock */
	uint64_t *gc_marks;                       /* lineages that lost a point; worker_lock */
	size_t n_gc_marks, cap_gc_marks;
	bool gc_all;                        /* look at every lineage */
	TAILQ_HEAD(, cow_trim) trims;       /* worker_lock */
	TAILQ_HEAD(, cow_compact) compacts; /* worker_lock */
	uint32_t n_compacts;
	struct cow_summer *summer; /* NULL without background work */
	char boot_id[64];
};

/* Space of a head extent that the map no longer reaches: freed after the map is durable (rule 2).
 */
struct cow_trim {
	TAILQ_ENTRY(cow_trim) entry;
	struct cow_point at;
	uint64_t ino, first, blocks; /* blocks UINT64_MAX = the whole file: unlink */
};

/* One lineage of a chain, as of a point of it. */
struct cow_link {
	uint64_t lineage, epoch;
	struct cow_touched *touched; /* owned reference */
};

/* A chunk that lies in too many extent files. */
struct cow_compact {
	TAILQ_ENTRY(cow_compact) entry;
	uint64_t incarnation, ino, chunk;
};

struct cow_live {
	struct cow_store *s;
	TAILQ_ENTRY(cow_live) entry;
	uint32_t refs; /* store.lives_lock */
	uint64_t branch_id, incarnation, root;
	bool readonly, ephemeral;
	bool lost; /* ephemeral, and the machine went down since: nothing may be added to it */
	_Atomic bool stale, head_written, poisoned;
	_Atomic bool gives_up; /* does not wait for room on a full disk */
	/* quota.c */
	_Atomic uint64_t quota;     /* bytes; 0 = none */
	_Atomic int64_t own_blocks; /* that the own lineage has in files of the head */
	_Atomic bool own_known;     /* they were counted */
	_Atomic uint64_t opens, writers;
	_Atomic uint64_t name_seq; /* of the last name change of this live */

	/* chain[0] is the own lineage; its epoch is the head and moves under `freeze` */
	uint32_t n_chain;
	struct cow_link *chain;

	pthread_rwlock_t freeze, names;

	pthread_mutex_t table;
	struct cow_inode **buckets;
	uint32_t n_buckets, n_inodes;
	uint64_t forgotten; /* inodes that left the table: a load that raced one starts again */

	pthread_mutex_t dirty_lock;
	TAILQ_HEAD(cow_dirty, cow_inode) dirty; /* holds a reference to each */

	pthread_mutex_t seal_lock; /* one seal at a time; outside every other lock of the live */
	pthread_mutex_t seal_wait;
	pthread_cond_t seal_cond;
	_Atomic uint64_t seal_begun, seal_done; /* changed under seal_wait */
};

enum { COW_BLOCK_SECTORS = COW_BLOCK / 512 };

enum {
	COW_SRC_HOLE = 0, /* nobody has it: zeroes */
	COW_SRC_ZERO = 1, /* zeroes that this lineage put there */
	COW_SRC_FIRST = 2 /* index into inode.sources from here on */
};

struct cow_source {
	struct cow_point at;
	struct cow_extent *x; /* owned reference */
};

/* The resolved map of one chunk; NULL src = every block is `uniform`. Under inode.map. */
struct cow_chunk {
	uint16_t *src;
	uint16_t uniform;
	bool dirty; /* its record has to be written with the next commit */
	bool used;
};

/* What one lineage of the chain says of an inode (only lineages that have a record of it). */
struct cow_level {
	struct cow_point at;
	uint64_t limit, origin_epoch, origin_blocks;
};

enum {
	COW_DIRTY_META = 1, /* size, limits, mode, owner: part of datasync */
	COW_DIRTY_TIME = 2, /* times only */
	COW_DIRTY_DATA = 4, /* bytes in the head's extent file that were not synced */
	COW_DIRTY_MAP = 8,  /* some chunk is dirty */
};

struct cow_inode {
	struct cow_live *live;
	uint64_t ino;
	struct cow_inode *next; /* live.table */
	uint32_t refs;          /* live.table */
	TAILQ_ENTRY(cow_inode) dirty_entry;
	bool on_dirty; /* map */

	pthread_rwlock_t io;
	pthread_mutex_t own, commit, map;

	/* under map */
	struct cow_attr attr;
	char *target;
	uint8_t rec_flags;
	bool has_record; /* the own lineage has a record of it in the map */
	unsigned dirty;
	uint32_t n_levels;
	struct cow_level *levels; /* [0] is the own lineage, with or without a record */
	uint64_t disk_size, disk_blocks, disk_limit,
	    disk_origin; /* as last put into the map (under commit too) */
	uint32_t n_chunks;
	struct cow_chunk **chunks;
	uint64_t told_blocks; /* attr.blocks when _blocks_moved was last asked */
	bool committing;      /* work with map changes was taken and is not durable yet */
	uint32_t load_seq;    /* counts evictions: a load that raced one starts again */
	uint32_t n_sources, cap_sources;
	struct cow_source *sources; /* [0] is COW_SRC_FIRST */
	uint16_t head_src;          /* 0 = none yet */
	uint64_t head_epoch; /* that head_src belongs to; while DIRTY_DATA its extent is pinned */
	_Atomic uint32_t own_run; /* changes under map */
	bool promised; /* space was allocated beforehand: its writes are not refused; map */

	_Atomic uint32_t opens;
	_Atomic bool poisoned;
	_Atomic uint64_t wait_seal; /* commits wait until this seal is done; 0 = for none */
	/* Of its records that were put and are not synced: durable when store.synced_seq is there.
	 * Changes under commit. */
	_Atomic uint64_t put_seq;
	/* Room it took in the gating `taken_in` of room.gatings; a race forgets a little. */
	_Atomic uint64_t taken;
	_Atomic uint32_t taken_in;
};

/* Atomic because commits and look-ups ask without the freeze. */
static inline uint64_t cow_head(const struct cow_live *l)
{
	return __atomic_load_n(&l->chain[0].epoch, __ATOMIC_ACQUIRE);
}

/* Ephemeral, written to in another boot of the machine and never synced. */
static inline bool cow_lineage_is_lost(const struct cow_lineage_rec *rec, const char *boot)
{
	return (rec->flags & COW_LINEAGE_EPHEMERAL) && rec->boot[0] && strcmp(rec->boot, boot) != 0;
}

/* Point k of the chain, for look-ups. */
static inline struct cow_point cow_chain_at(const struct cow_live *l, uint32_t k)
{
	return (struct cow_point){l->chain[k].lineage, k ? l->chain[k].epoch : cow_head(l)};
}

static inline uint64_t cow_blocks_of(uint64_t bytes)
{
	return (bytes + COW_BLOCK - 1) / COW_BLOCK;
}

/* A number that only grows, set by several threads. */
static inline void cow_raise(_Atomic uint64_t *at, uint64_t v)
{
	uint64_t old = atomic_load(at);

	while (old < v && !atomic_compare_exchange_weak(at, &old, v))
		;
}

/* --- store.c --- */
/* cow_store_open over another map (taken, whatever the answer); NULL = the store's own. */
cow_errno cow_store_open_kv(const char *path, const struct cow_store_options *o, struct cow_kv *kv,
			    struct cow_store **ret, struct cow_error *e);

/* --- ids.c --- */
enum cow_id { COW_ID_INO, COW_ID_LINEAGE, COW_ID_BRANCH, COW_ID_INCARNATION };
/* The next number of its kind, never given before, not even before a crash. */
cow_errno cow_id_next(struct cow_store *s, enum cow_id which, uint64_t *ret);
cow_errno cow_ids_load(struct cow_store *s);

/* --- meta.c: 'M' records --- */
cow_errno cow_meta_get(struct cow_store *s, const char *what, uint64_t *ret); /* absent = 0 */
void cow_meta_put(struct cow_batch *b, const char *what, uint64_t v);
/* Write durably, counting the commit; everything put before is durable then as well. */
cow_errno cow_store_commit(struct cow_store *s, const struct cow_batch *b);
/* Make name changes up to `seq` durable, unless they are. */
cow_errno cow_store_commit_names(struct cow_store *s, uint64_t seq);

/* --- live.c --- */
cow_errno cow_live_open(struct cow_store *s, const struct cow_branch_rec *b, struct cow_live **ret);
/* A view of a point; readonly, not shared. */
cow_errno cow_live_at(struct cow_store *s, struct cow_point at, struct cow_live **ret);
/* Ephemeral branches that were written to become durable and are marked so: the end of a clean
 * stop. */
cow_errno cow_live_settle_ephemeral(struct cow_store *s);
/* The live of an incarnation if one is open (reference taken), else NULL. */
struct cow_live *cow_live_find(struct cow_store *s, uint64_t incarnation);
struct cow_live *cow_live_ref(struct cow_live *l);
/* From now on every call answers -ESTALE; what was not committed is dropped. */
void cow_live_retire(struct cow_live *l);
cow_errno cow_lineage_get(struct cow_store *s, uint64_t id, struct cow_lineage_rec *ret);
void cow_lineage_put(struct cow_batch *b, uint64_t id, const struct cow_lineage_rec *v);

/* --- inode.c --- */
/* Newest record at or before the point of the lineage itself. -ENOENT none. */
cow_errno cow_inode_record(struct cow_store *s, struct cow_point at, uint64_t ino,
			   struct cow_inode_rec *ret);
cow_errno cow_inode_make(struct cow_live *l, uint64_t ino, const struct cow_name_create *how,
			 struct cow_inode **ret);
/* Put the record as of now, with the size and limits last committed. Holds i->commit. */
void cow_inode_put_record(struct cow_inode *i, struct cow_batch *b);
void cow_inode_mark(struct cow_inode *i, unsigned dirty); /* holds map */
void cow_inode_unmark(struct cow_inode *i); /* off the list if clean; holds commit, takes map */
void cow_inode_touch(struct cow_inode *i);  /* mtime, ctime = now; holds map */
struct timespec cow_now(void);
/* What the map says of an earlier failure; at load. */
bool cow_inode_on_record(struct cow_live *l, uint64_t ino);
/* After the last name and the last open went: forget it in the map, free its space later. */
cow_errno cow_inode_drop(struct cow_inode *i);
cow_errno cow_inode_check(struct cow_inode *i, bool modify); /* stale, read-only, poisoned */
void cow_inode_poison(struct cow_inode *i, cow_errno why);

/* --- chunk.c: all hold i->map, which is dropped and taken again while a chunk is loaded --- */
cow_errno cow_chunk_get(struct cow_inode *i, uint64_t chunk, struct cow_chunk **ret);
uint16_t cow_chunk_src(const struct cow_chunk *c, uint32_t block);
cow_errno cow_chunk_set(struct cow_inode *i, struct cow_chunk *c, uint32_t first, uint32_t n,
			uint16_t src);
cow_errno cow_source_add(struct cow_inode *i, struct cow_point at, uint16_t *ret);
bool cow_src_is_own(const struct cow_inode *i, uint16_t src);
void cow_chunk_put_record(struct cow_inode *i, uint64_t chunk, const struct cow_chunk *c,
			  struct cow_batch *b);
/* Everything at or past `block` is gone: dirties what the own lineage has there. */
cow_errno cow_chunks_cut(struct cow_inode *i, uint64_t block);
void cow_chunks_free(struct cow_inode *i);
/* Chunks at or past `first` in which the own lineage may have blocks: in order, each once; the
 * caller frees the list (after an error too). Its length goes by what is in the file, not by how
 * long the file is. While io is held, and own or nobody else who writes, no other chunk has any. */
cow_errno cow_chunks_list_own(struct cow_inode *i, uint64_t first, uint64_t **ret, size_t *ret_n);
/* Blocks of the file that the own lineage has; loads what it has to. */
uint64_t cow_chunks_own(struct cow_inode *i);
void cow_chunks_evict(struct cow_store *s); /* until the cache is within bounds */

/* --- quota.c --- */
/* Count what the lineage has now, from the map; nothing may be modified meanwhile. */
cow_errno cow_quota_count(struct cow_live *l);
/* -EDQUOT: `fresh` blocks more are over the quota; with `margin`, over it and the margin. */
cow_errno cow_quota_check(const struct cow_live *l, uint64_t fresh, bool margin);
/* The lineage has so many blocks more, or less. */
static inline void cow_quota_add(struct cow_live *l, int64_t blocks)
{
	if (blocks)
		atomic_fetch_add_explicit(&l->own_blocks, blocks, memory_order_relaxed);
}

/* --- commit.c --- */
cow_errno cow_inode_commit(struct cow_inode *i, bool times);
/* What one inode has to make durable: encoded for the head epoch, and taken off the inode. */
struct cow_work {
	struct cow_batch batch;
	struct cow_extent *data; /* pinned: to be synced before the batch is written; or NULL */
	bool synced;             /* the batch has more in it than times */
};
/* Take everything dirty (`times`: those too); holds freeze and map. */
void cow_work_collect(struct cow_inode *i, bool times, struct cow_work *ret);
/* Sync the data, give up the pin, and put the batch: durable with the next sync of the map, which
 * an fsync of the inode asks for until then. Holds commit. */
cow_errno cow_work_put(struct cow_inode *i, struct cow_work *w);
void cow_work_release(struct cow_work *w); /* the data must have been synced or be NULL */
/* Every dirty inode once. _put_dirty leaves the sync of the map to the caller. */
cow_errno cow_live_commit(struct cow_live *l);
cow_errno cow_live_put_dirty(struct cow_live *l);
/* Those that commits of transactions wait for (WAL) to the front; how many they are. */
size_t cow_inodes_urgent_first(struct cow_inode **list, size_t n);

/* --- seal.c --- */
/* Close the head epoch: *ret is a point that shows the branch as it is now. */
cow_errno cow_live_seal(struct cow_live *l, struct cow_point *ret, struct cow_error *e);

/* --- background.c --- */
/* Commit what can be committed (a poisoned file cannot), and make the map durable. */
cow_errno cow_store_push(struct cow_store *s);
cow_errno cow_background_start(struct cow_store *s);
void cow_background_stop(struct cow_store *s);
void cow_background_trim(struct cow_store *s, struct cow_point at, uint64_t ino, uint64_t first,
			 uint64_t blocks);
/* The lineage lost a point: look at it soon. 0 = look at all of them. */
void cow_background_gc(struct cow_store *s, uint64_t lineage);
/* Before a clean close: whether there is still something to look at goes into the map. After it was
 * opened: what was left then is looked at, at the first occasion. */
cow_errno cow_background_owe(struct cow_store *s);
void cow_background_owed(struct cow_store *s);
/* Deleted branches whose time is over go for good; those that are kept, when room is short. */
void cow_deleted_expire(struct cow_store *s);
void cow_background_trims(struct cow_store *s); /* now, in the caller's thread */

/* --- compact.c --- */
bool cow_compact_is_due(struct cow_inode *i, const struct cow_chunk *c); /* holds map */
void cow_compact_later(struct cow_inode *i, uint64_t chunk);
void cow_compact_run(struct cow_store *s); /* everything that is due, in the caller's thread */

/* --- summer.c --- */
cow_errno cow_summer_start(struct cow_store *s);
void cow_summer_stop(struct cow_store *s);
void cow_summer_want(struct cow_summer *m,
		     uint64_t lineage); /* an epoch was closed; NULL is fine */

/* --- refs.c --- */
struct cow_ref {
	struct cow_branch_rec branch;
	char name[COW_BRANCH_MAX + 1];
	bool head; /* the present state; else `at` */
	struct cow_point at;
	int64_t time_ns;
};
/* `self` (may be NULL) is what ^parent starts from. */
cow_errno cow_ref_resolve(struct cow_store *s, const char *text, const char *self,
			  struct cow_ref *ret, struct cow_error *e);
cow_errno cow_branch_read(struct cow_store *s, const char *name, struct cow_branch_rec *ret,
			  struct cow_error *e);

/* --- branch_names.c --- */
/* Its present name. -ENOENT: no branch has the id; ret_name is "" after any error. */
cow_errno cow_branch_by_id(struct cow_store *s, uint64_t id, char ret_name[COW_BRANCH_MAX + 1]);
/* Said by every operation after the commit that named a branch, or (NULL) deleted it. */
void cow_branch_named(struct cow_store *s, uint64_t id, const char *name);
cow_errno cow_branch_names_load(struct cow_store *s);
void cow_branch_names_free(struct cow_branch_names *n);

/* --- reclaim.c --- */
/* The marked lineages, or all. Takes admin for short times. */
cow_errno cow_reclaim(struct cow_store *s, bool all, struct cow_gc_result *ret);
/* What a run over everything would free; changes nothing. */
cow_errno cow_leaks(struct cow_store *s, struct cow_gc_result *ret);
