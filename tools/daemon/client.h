// SPDX-License-Identifier: Apache-2.0
/* client: call a verb, wherever the store is open.
 *
 * When a daemon has the store, the call goes over STORE/control.sock; otherwise the store is opened
 * here, the verb runs in this process, and the store is closed again. The lock of the store makes
 * sure that it is never both. Shows a progress bar on stderr for long verbs, when that is a
 * terminal. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "store/error.h"

/* Steals `args` (NULL = {}). *ret is owned by the caller; NULL ret = not wanted. The error of the
 * verb, as it happened there; -ENOENT/-EINVAL no store; -EBUSY open in a process that serves no
 * socket; -EACCES not the owner; -ECONNRESET the daemon went away before it answered. */
cow_errno client_call(const char *store, const char *verb, json_t *args, json_t **ret,
		      struct cow_error *e);

/* Only to a daemon: -ENOTCONN when none runs. For shutdown: returns when the daemon is gone. */
cow_errno client_call_daemon(const char *store, const char *verb, json_t *args, json_t **ret,
			     struct cow_error *e);

/* Does a daemon answer on the control socket of the store? */
bool client_daemon_runs(const char *store);

/* No progress bars from now on (--quiet). Before the first call. */
void client_set_quiet(bool quiet);
