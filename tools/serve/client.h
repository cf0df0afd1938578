// SPDX-License-Identifier: Apache-2.0
/* client: what the commands ask of a running `cowfs serve`. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "store/error.h"

#define SERVE_SOCKET "serve.sock" /* in the store */

/* Does a serve process answer for this store? */
bool serve_runs(const char *store);

/* Verbs: wake {name, settings?: {NAME: VALUE}}, suspend {name}, stop {name}, each with why?: for
 * the history of the branch (default: by hand); sync {}, handed {from, to} (a member of a pool has
 * this name now), status {name?}. Steals `args` (NULL = {}). Answers when it is done. *ret as of
 * serve_status_json; may be NULL. -ENOTCONN no serve process runs; -ECONNRESET it went away; else
 * its reason. */
cow_errno serve_call(const char *store, const char *verb, json_t *args, json_t **ret,
		     struct cow_error *e);
/* The same for so long, and no longer: -ETIMEDOUT, and what was asked for goes on. */
cow_errno serve_call_within(const char *store, const char *verb, json_t *args, unsigned timeout_ms,
			    json_t **ret, struct cow_error *e);

/* After branches or their settings changed: returns when serve knows, or none runs. */
void serve_nudge(const char *store);

/* Before the contents of a branch are replaced or deleted: put it to sleep when it has no clients,
 * or when `force`. 0 also when no serve runs, or the branch has clients: the daemon refuses then.
 * `why`: for its history. */
cow_errno serve_make_way(const char *store, const char *name, bool force, const char *why,
			 struct cow_error *e);

/* Put what serve knows (current_state, clients) into branches as the daemon describes them: an
 * object with "name", or an array of such. Nothing changes when no serve runs. */
void serve_overlay(const char *store, json_t *branches);
