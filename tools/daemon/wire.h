// SPDX-License-Identifier: Apache-2.0
/* wire: JSON values, one per line, over the control socket of a store.
 *
 * Request {"verb": V, "args": {...}}; answers {"progress": {"done": n, "total": n}} any number of
 * times, then one {"result": {...}} or {"error": {"code", "message", "hint", "errno"}}. */
#pragma once
#include <jansson.h>
#include <stddef.h>

#include "store/error.h"

#define WIRE_REQUEST_MAX (1u << 20) /* bytes of one request */
#define WIRE_ANSWER_MAX (1u << 29)  /* bytes of one answer: a list of many differences */
#define WIRE_SOCKET "control.sock"  /* in the store */

struct wire {
	int fd; /* owned */
	char *buf;
	size_t len, cap, max; /* bytes held, allocated, allowed in a line */
};

/* Owned afterwards by `w`. */
void wire_init(struct wire *w, int fd, size_t max_line);
void wire_release(struct wire *w);

/* 1 and *ret; 0 the other side closed; -EMSGSIZE, -EBADMSG no JSON, -ETIMEDOUT, -errno. */
int wire_read(struct wire *w, json_t **ret);
/* Steals `value`; -ENOMEM when it is NULL, -EPIPE the other side is gone. */
cow_errno wire_write(struct wire *w, json_t *value);

/* {"error": ...} for a failed verb. */
json_t *wire_error(cow_errno r, const struct cow_error *e);
/* The reverse; always returns a failure. */
cow_errno wire_error_read(const json_t *error, struct cow_error *e);

/* The socket of the store at `dir`, whatever the length of its path. Mode 0600; an old socket is
 * replaced, so only the holder of the store's lock may call this. */
cow_errno wire_listen(const char *dir, int *ret_fd, struct cow_error *e);
/* The same for another socket of the store than the daemon's. */
cow_errno wire_listen_as(const char *dir, const char *name, int *ret_fd, struct cow_error *e);
/* -ENOENT no socket, -ECONNREFUSED nobody behind it, -EACCES. */
cow_errno wire_connect(const char *dir, int *ret_fd);
cow_errno wire_connect_as(const char *dir, const char *name, int *ret_fd);
void wire_unlink(const char *dir);
void wire_unlink_as(const char *dir, const char *name);
