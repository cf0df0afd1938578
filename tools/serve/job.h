// SPDX-License-Identifier: Apache-2.0
/* job: work that may block, in a child of its own.
 *
 * The child is a copy of this process (which has one thread), so that it knows what we knew when it
 * began; what it finds out comes back as JSON. It holds none of our sockets. */
#pragma once
#include <jansson.h>

#include "tools/serve/parts.h"

/* In the child. As a verb of engine.h. */
typedef cow_errno serve_work(struct serve *s, const char *name, json_t **ret, struct cow_error *e);
/* In the loop, once. `result` is borrowed, NULL on failure. */
typedef void serve_done(struct serve *s, void *arg, cow_errno r, const json_t *result,
			const struct cow_error *e);

/* `name` is copied. When there can be no child, `done` is called before this returns. */
void serve_job(struct serve *s, serve_work *work, const char *name, serve_done *done, void *arg);

/* A child of ours ended. */
void serve_job_reaped(struct serve *s, pid_t pid, int status);

/* --- the work, work.c --- */
serve_work serve_work_sync;   /* -> {branches: [...]} */
serve_work serve_work_start;  /* -> {pid, host, port, socket_dir, start_ms, adopted} */
serve_work serve_work_delete; /* -> {} */
serve_work serve_work_idle;   /* -> {idle_ms: since a client last did anything} */
serve_work serve_work_grow;   /* one more member of the pool `name` -> it, or {} */
serve_work serve_work_ready;  /* remember that a member has been started once */
serve_work serve_work_purge;  /* delete for good -> {} */
serve_work serve_work_mark;   /* remember that it was stopped, or is not any more */

/* Not in a child. Once, before the first: a place for the groups that limit servers (pgcgroup.h).
 */
void serve_work_prepare(void);
/* The server of this branch is gone, and so is its group. */
void serve_work_forget_group(const char *name);
/* golden.c; `name`: the path of golden.conf -> the report */
serve_work serve_work_refresh;
