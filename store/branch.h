// SPDX-License-Identifier: Apache-2.0
/* branch: names for lineages and points, and what can be done with them.
 *
 * All calls are synchronous and durable when they return 0; on failure nothing has changed, unless
 * said otherwise. They are serialised inside (a branch operation at a time), never hold up reads
 * and writes of files except for the freeze (microseconds), and never make a path call on a mount.
 *
 * A reference to a point is text: NAME | NAME@SNAPSHOT | NAME@TIME | ^parent[@...]; TIME is RFC
 * 3339 and means the newest snapshot of that branch not after it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

struct cow_live;

struct cow_branch_info {
	uint64_t id;          /* of the branch, for ever; survives rename and reset */
	uint64_t lineage;     /* what it names now */
	uint64_t incarnation; /* of its present showing in the mount */
	uint64_t parent_id;   /* branch it was made from; 0 = none */
	char name[COW_BRANCH_MAX + 1];
	char parent[COW_BRANCH_MAX + 1]; /* present name of parent_id; "" none or deleted */
	int64_t created_ns, reset_ns;    /* CLOCK_REALTIME; reset_ns 0 = never reset */
	int64_t data_ns;                 /* time of the point of the parent it shows; 0 = none */
	bool is_default, ephemeral, poisoned;
	bool lost;      /* ephemeral, and the machine went down since it was written: reset it */
	uint32_t forks; /* lineages below it: cost of a cold look-up */
	uint64_t quota; /* bytes it may have of its own; 0 = no limit */
	char *settings; /* JSON object text owned by tools/; "{}" when none. Free with _release */
};

struct cow_snapshot_info {
	uint64_t branch_id, lineage, epoch;
	char branch[COW_BRANCH_MAX + 1]; /* present name */
	char name[COW_BRANCH_MAX + 1];
	int64_t created_ns;
	char message[512];
};

void cow_branch_info_release(struct cow_branch_info *b);

/* 0, or -EINVAL with the reason: names are 1..255 bytes of UTF-8 without control characters, '@',
 * white space at either end; parts between '/' are neither empty, "." nor ".."; no part starts with
 * '^' or '-'; every part is at most 255 bytes. */
cow_errno cow_branch_name_check(const char *name, struct cow_error *e);

/* -ENOENT. `ret` needs _release on 0. */
cow_errno cow_branch_get(struct cow_store *s, const char *name, struct cow_branch_info *ret,
			 struct cow_error *e);

uint64_t cow_branch_count(struct cow_store *s);

/* The name of the default branch. -ENOENT with a hint: there is none. */
cow_errno cow_branch_default(struct cow_store *s, char ret[COW_BRANCH_MAX + 1],
			     struct cow_error *e);

/* Every branch in name order. `each` gets a borrowed value; a non-zero answer stops and is
 * returned. */
cow_errno cow_branch_each(struct cow_store *s,
			  int (*each)(const struct cow_branch_info *b, void *arg), void *arg);

struct cow_branch_create {
	const char *name;
	const char *parent;   /* reference; NULL = the default branch; ignored when `empty` */
	const char *settings; /* JSON object text; NULL = "{}" */
	bool empty; /* over nothing: a base of its own; the default branch when there is none */
	bool ephemeral;
	uint64_t quota;                         /* bytes; 0 = no limit */
	uint32_t root_mode, root_uid, root_gid; /* of an empty branch's root directory */
	/* Runs on the new branch before anybody can see it: what it changes is part of the
	 * creation. A failure undoes everything. May be NULL. `from_running`: the parent was taken
	 * alive. */
	cow_errno (*prepare)(struct cow_live *fresh, void *arg, struct cow_error *e);
	void *arg;
};

/* -EEXIST name taken, or it would be a directory of another branch (a beside a/b); -ENOENT unknown
 * parent, snapshot or time; -EINVAL name; -EROFS poisoned parent; -ENOSPC. */
cow_errno cow_branch_create(struct cow_store *s, const struct cow_branch_create *how,
			    struct cow_error *e);

/* Makes the settings of a branch from those it has (`was`, JSON object text): new text in *ret, to
 * be freed by the caller, or an error with its reason, and nothing is changed. Nobody else changes
 * settings meanwhile, so it must be quick and must not call the store. */
typedef cow_errno cow_branch_edit_fn(void *arg, const char *was, char **ret, struct cow_error *e);

struct cow_branch_reset {
	const char *name;
	const char *source;         /* reference; NULL = the parent's present state; else restore */
	const char *preserve_under; /* keep the old contents as a branch of this name; or NULL */
	/* In the same step; what it refuses does not happen. NULL = the settings stay. */
	cow_branch_edit_fn *edit;
	void *edit_arg;
	cow_errno (*prepare)(struct cow_live *, void *, struct cow_error *); /* as above */
	void *arg;
};

/* Name, port and settings stay; contents and incarnation change. -EBUSY files of it are open; and
 * what `edit` says. */
cow_errno cow_branch_reset(struct cow_store *s, const struct cow_branch_reset *how,
			   struct cow_error *e);

/* A cow_branch_edit_fn for a branch that gets the contents of `other`. */
typedef cow_errno cow_branch_exchange_fn(void *arg, const char *other, const char *was, char **ret,
					 struct cow_error *e);

/* Exchange the contents of `name` and the default branch. `edit` changes the settings of both in
 * the same step; NULL = they stay. -EBUSY files of either are open; and what `edit` says. */
cow_errno cow_branch_promote(struct cow_store *s, const char *name, cow_branch_exchange_fn *edit,
			     void *arg, struct cow_error *e);

/* -EEXIST, -ENOENT, -EINVAL; -EBUSY files of it are open (the mount shows names as directories). */
cow_errno cow_branch_rename(struct cow_store *s, const char *from, const char *to,
			    struct cow_error *e);

/* The same for a branch that may be in use: the incarnation stays, and whoever works in its
 * directory goes on there. Paths that name it by its old name lead nowhere any more. `edit` NULL =
 * the settings stay. -EEXIST, -ENOENT, -EINVAL, and what `edit` says. */
cow_errno cow_branch_rename_running(struct cow_store *s, const char *from, const char *to,
				    cow_branch_edit_fn *edit, void *arg, struct cow_error *e);

enum cow_branch_moved {
	COW_MOVED_NOT,      /* the parent shows what this branch began with */
	COW_MOVED_WRITTEN,  /* it was written to since */
	COW_MOVED_REPLACED, /* it has other contents: reset, restored, promoted, deleted */
};
/* What became of the present state of the parent. When that is not known, WRITTEN. -ENOENT. */
cow_errno cow_branch_moved(struct cow_store *s, const char *name, enum cow_branch_moved *ret,
			   struct cow_error *e);

/* Never refused because something was made from it. -ENOENT; -EBUSY files of it are open. Its
 * snapshots go with it; what others still see stays, the rest is freed in the background. */
cow_errno cow_branch_delete(struct cow_store *s, const char *name, struct cow_error *e);

/* --- deleted, and still to be had back --- */

struct cow_deleted_info {
	struct cow_branch_info b;     /* as it was; b.name is the name it had */
	int64_t deleted_ns, until_ns; /* CLOCK_REALTIME */
};

/* As cow_branch_delete: the name is free at once. Contents and snapshots stay until `until_ns`
 * (CLOCK_REALTIME), and as long as the host's disk has plenty of room: what is kept here is the
 * first to go. `edit` (may be NULL) is asked in the same step: what it refuses stays. *ret_kept
 * false (may be NULL): there was too little room, its space comes back now. */
cow_errno cow_branch_delete_until(struct cow_store *s, const char *name, int64_t until_ns,
				  cow_branch_edit_fn *edit, void *arg, bool *ret_kept,
				  struct cow_error *e);

/* Those that can be had back, oldest first. As cow_branch_each. */
cow_errno cow_deleted_each(struct cow_store *s,
			   int (*each)(const struct cow_deleted_info *d, void *arg), void *arg);

/* It is a branch again: same id, contents, snapshots, and children; a new incarnation. `as`: its
 * name (NULL = the one it had); `settings` NULL = those it had. -ENOENT gone for good; -EEXIST the
 * name is taken. */
cow_errno cow_branch_undelete(struct cow_store *s, uint64_t id, const char *as,
			      const char *settings, struct cow_error *e);

/* Give its space back now. -ENOENT. */
cow_errno cow_deleted_purge(struct cow_store *s, uint64_t id, struct cow_error *e);

/* After a failed write or fsync (rule 5): drop what never reached the disk, so that files can be
 * written again. The branch shows what a machine would find after losing power. -EBUSY files of it
 * are open. */
cow_errno cow_branch_recover(struct cow_store *s, const char *name, struct cow_error *e);

/* Whether its writes wait for room on a full disk (they do at first). false also answers those that
 * wait now, with ENOSPC: the way to end a server that nobody wants any more. Not kept over a
 * restart of the daemon. */
cow_errno cow_branch_set_waiting(struct cow_store *s, const char *name, bool wait,
				 struct cow_error *e);

cow_errno cow_branch_set_default(struct cow_store *s, const char *name, struct cow_error *e);
/* The only way to change settings: two changes at once are one after the other, and neither is
 * lost. Durable on 0. -ENOENT, and what `edit` says. */
cow_errno cow_branch_edit(struct cow_store *s, const char *name, cow_branch_edit_fn *edit,
			  void *arg, struct cow_error *e);

/* How many bytes of its own a branch may have: blocks written on it, less those overwritten, cut or
 * deleted again; what it shows of its parent is free, and so is what only its snapshots need. A
 * write through COW_WRITE_BOUND that would make blocks beyond it is refused with -EDQUOT; changes
 * of blocks that exist, and whatever else is written, are charged and not refused. 0 = no limit. */
cow_errno cow_branch_set_quota(struct cow_store *s, const char *name, uint64_t bytes,
			       struct cow_error *e);
/* Of a branch with a quota: bytes charged now. -ENODATA without one. */
cow_errno cow_branch_quota(struct cow_store *s, const char *name, uint64_t *ret_used,
			   struct cow_error *e);

/* Name a point of the branch as it is now. NULL name = a UTC time stamp. *ret may be NULL.
 * -EEXIST the branch has a snapshot of that name; -EROFS the branch is poisoned. */
cow_errno cow_snapshot_create(struct cow_store *s, const char *branch, const char *name,
			      const char *message, struct cow_snapshot_info *ret,
			      struct cow_error *e);
cow_errno cow_snapshot_delete(struct cow_store *s, const char *branch, const char *name,
			      struct cow_error *e);
/* Oldest first; branch NULL = of all branches. */
cow_errno cow_snapshot_each(struct cow_store *s, const char *branch,
			    int (*each)(const struct cow_snapshot_info *p, void *arg), void *arg);

/* Files open through `live` objects of the branch now (0 when not mounted or quiet). */
uint64_t cow_branch_open_files(struct cow_store *s, const char *name);
/* Files open for writing: 0 means that no cache above the store can hold unwritten data. */
uint64_t cow_branch_open_writers(struct cow_store *s, const char *name);

/* The mount follows changes of names and incarnations through this. Called without locks of the
 * store held, after the change is durable. `name` changed, appeared or went. One watcher at most.
 */
void cow_branch_watch(struct cow_store *s, void (*changed)(void *arg, const char *name), void *arg);
