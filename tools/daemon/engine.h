// SPDX-License-Identifier: Apache-2.0
/* engine: the verbs of cowfs as functions from JSON to JSON.
 *
 * The same verbs run in two places: inside the daemon, for a client on the control socket, and
 * inside the command itself when no daemon has the store open. A verb neither prints nor exits.
 * Threads: the daemon calls verbs from several threads at once, each with an engine of its own;
 * store and mount are shared and take care of themselves. */
#pragma once
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct cow_mount;
struct daemon;
struct engine_shared;

/* The mount goes away before the last verb has ended, so that nobody waits for a long check. */
struct engine_mount {
	pthread_rwlock_t lock;
	struct cow_mount *mount; /* NULL once unmounted; lock */
};

struct engine {
	struct cow_store *store;
	struct engine_shared *shared; /* of all engines on this store (shared.h) */
	struct engine_mount *mounted; /* NULL: no daemon. Use engine_mount_hold */
	struct daemon *daemon;        /* NULL: no daemon */
	/* How far a long verb is; may be NULL. total 0 = unknown. Call it as often as you like. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *progress_arg;
};

/* `args` is an object, borrowed. *ret is a new object on 0. */
typedef cow_errno engine_fn(struct engine *g, const json_t *args, json_t **ret,
			    struct cow_error *e);

struct engine_verb {
	const char *name; /* "branch.create"; NULL ends a table */
	engine_fn *run;
	/* Part of the daemon's own life: not waited for when it stops, impossible without a daemon.
	 */
	bool control;
};

/* One table per file of verbs, joined in engine.c. */
extern const struct engine_verb engine_verbs_branch[];   /* verb_branch.c */
extern const struct engine_verb engine_verbs_deleted[];  /* verb_deleted.c */
extern const struct engine_verb engine_verbs_pool[];     /* verb_pool.c */
extern const struct engine_verb engine_verbs_snapshot[]; /* verb_snapshot.c */
extern const struct engine_verb engine_verbs_space[];    /* verb_space.c */
extern const struct engine_verb engine_verbs_verify[];   /* verb_verify.c */
extern const struct engine_verb engine_verbs_status[];   /* verb_status.c */
extern const struct engine_verb engine_verbs_import[];   /* import.c */

/* NULL = no such verb. */
const struct engine_verb *engine_find(const char *name);

/* Find and run. -EINVAL unknown verb or args no object, -ENOTCONN a control verb without a daemon.
 */
cow_errno engine_call(struct engine *g, const char *verb, const json_t *args, json_t **ret,
		      struct cow_error *e);

/* NULL: not mounted. Otherwise it stays until _release; only for short calls. */
struct cow_mount *engine_mount_hold(struct engine *g);
void engine_mount_release(struct engine *g);
/* Where the mount is, into `buf`; false = not mounted. */
bool engine_mountpoint(struct engine *g, char *buf, size_t size);

void engine_progress(const struct engine *g, uint64_t done, uint64_t total);

/* --- reading arguments; all borrow from `args` --- */

/* Text that must be there and not empty; -EINVAL names the key. */
cow_errno engine_text(const json_t *args, const char *key, const char **ret, struct cow_error *e);
/* NULL when missing or null. */
const char *engine_text_or_null(const json_t *args, const char *key);
bool engine_flag(const json_t *args, const char *key); /* missing = false */

/* Before a point of what `reference` names is taken (NULL = the default branch): refuse when a
 * server runs on it that would not survive that (-EPERM), and push what the kernel still holds
 * back. Never fails for lack of the latter: a point without it is as good as a power loss. A past
 * point needs nothing. */
cow_errno engine_before_point(struct engine *g, const char *reference, struct cow_error *e);

/* Only the second half, for looking at a branch. */
void engine_push_pages(struct engine *g, const char *reference);
