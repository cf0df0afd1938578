// SPDX-License-Identifier: Apache-2.0
/* store: the public face of the engine.
 *
 * A store is a directory on the host that holds everything: VERSION, LOCK, COMMIT (the commit
 * number kept beside the map), reserve.map and reserve.data (room.h), map/ (RocksDB: the only truth
 * about what exists) and ext/ (extent files). One process at a time has a store open; the lock file
 * says who.
 *
 * After a crash: everything an fsync, an O_DSYNC write, or a successful control call acknowledged
 * is there; what was written but not synced is there or not, block by block, never torn into
 * another block or another file. Names changed but not synced may be lost, in order, from the end.
 *
 * Threads: every call here may be made from any thread, except open and close. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/error.h"

#define COW_BLOCK 8192u        /* bytes: the unit of copy on write */
#define COW_CHUNK_BLOCKS 1024u /* blocks: the unit of the block map */
#define COW_FILE_MAX                                                                               \
	((16ull << 40) - COW_BLOCK) /* bytes of a file: what ext4 takes; also bounds its map */
#define COW_NAME_MAX 255u           /* bytes of one file name */
#define COW_BRANCH_MAX 255u         /* bytes of one branch or snapshot name */

struct cow_store;

/* Of the host's free space; see README, "A full disk". */
enum cow_room_state { COW_ROOM_PLENTY, COW_ROOM_LOW, COW_ROOM_CRITICAL };
/* What a cache above the store may still accept: anything, a little for each, nothing. */
enum cow_gate { COW_GATE_OPEN, COW_GATE_NARROW, COW_GATE_SHUT };
struct cow_room_stat {
	enum cow_room_state state;
	uint64_t waiting;               /* writes that wait for room */
	uint64_t map, data;             /* bytes that the reserves hold */
	uint64_t map_whole, data_whole; /* and should hold */
};

struct cow_store_options {
	uint64_t cache_bytes; /* bound for block-map caches; 0 = 64 MiB */
	uint32_t max_files;   /* bound for open extent files; 0 = half of RLIMIT_NOFILE */
	bool no_background;   /* tests: no thread of the store's own; gc only by cow_gc_run */
	bool full_disk_fails; /* a write without room gets ENOSPC at once instead of waiting for it
			       */
	bool verify_reads;    /* check the sums of sealed blocks when they are read */
	bool keep_reserves;   /* make reserve.map and reserve.data, and let them grow again; for
			       * whoever has the store open for long */
};

/* Make an empty store at `path`: a missing or an empty directory, made 0700.
 * -EEXIST already a store, -ENOTEMPTY holds other things, -EACCES..: nothing was changed. */
cow_errno cow_store_create(const char *path, struct cow_error *e);

/* Open for reading and writing, running the recovery step after an unclean stop (logged).
 * -ENOENT no such directory, -EINVAL not a store, -EPROTO made by a newer cowfs, -EBUSY open in
 * another process (the text names its pid), -EIO damaged map. *ret is set only on 0. */
cow_errno cow_store_open(const char *path, const struct cow_store_options *o,
			 struct cow_store **ret, struct cow_error *e);

/* Make everything durable, stop background work, mark the store clean. The store is gone whatever
 * the answer; an error means that the last writes may not be durable. */
cow_errno cow_store_close(struct cow_store *s, struct cow_error *e);

const char *cow_store_path(const struct cow_store *s);

/* Make durable whatever any branch has written so far. */
cow_errno cow_store_sync(struct cow_store *s);

/* A small text that tools/ keeps in the map, durable when 0 is returned. *ret is allocated, NULL =
 * there is none. `what`: up to 32 letters. */
cow_errno cow_store_note_get(struct cow_store *s, const char *what, char **ret);
cow_errno cow_store_note_put(struct cow_store *s, const char *what, const char *text);

struct cow_store_stat {
	uint64_t branches, snapshots, lineages;
	uint64_t deleted;               /* branches that were deleted and can be had back */
	uint64_t host_total, host_free; /* bytes of the host file system */
	uint64_t open_extents, cached_bytes;
	uint64_t map_memory; /* bytes that the map has in memory */
	uint64_t commits;    /* synced commits since the store was made */
	uint64_t gc_pending; /* lineages that wait for the background gc */
	struct cow_room_stat room;
	bool map_failed; /* a write to the map failed: nothing becomes durable until it is reopened
			  */
	bool recovered;  /* this open ran the recovery step */
};

/* Goes through the map: for people. */
void cow_store_stat(struct cow_store *s, struct cow_store_stat *ret);
/* stat.room.waiting, at once. */
bool cow_store_writes_wait(struct cow_store *s);

/* --- room, for whoever has a cache above the store and holds writes back (COW_WRITE_NOWAIT) --- */

/* Bytes that such a cache may have accepted and not written yet: the data reserve grows to it. Once
 * room is scarce it will have at most `scarce`, for which a part of the reserve is kept (0: it has
 * nothing then, and is never asked to accept less). Returns what it should have at most while there
 * is plenty: less than `bytes` on a small host. */
uint64_t cow_store_holdback(struct cow_store *s, uint64_t bytes, uint64_t scarce);
/* May the cache accept more? It has to ask again and again: nobody tells it but _room_await. */
enum cow_gate cow_store_gate(struct cow_store *s);
/* Bytes of room that went to what it accepted, while it was not to accept everything; only grows.
 */
uint64_t cow_store_accepted(struct cow_store *s);
/* A write is held back for lack of room, or is no more: counted in stat.room.waiting, and snapshots
 * are refused as long as there is one. */
void cow_store_hold(struct cow_store *s, bool on);
/* Until the state is another than *state, the gate changed, space was freed, or _turn; at most
 * `ms`. Sets *state. */
void cow_store_room_await(struct cow_store *s, enum cow_room_state *state, unsigned ms);
void cow_store_room_turn(struct cow_store *s);
/* Nobody waits for room from here on: what would wait fails. What looks at whole lineages (verify,
 * gc, du, diff) ends soon with -ECANCELED; what gc did not do, the next open begins again. Before a
 * close. */
void cow_store_give_up(struct cow_store *s);
/* That was called: who has long work of their own with the store ends it. Any thread. */
bool cow_store_ending(const struct cow_store *s);
