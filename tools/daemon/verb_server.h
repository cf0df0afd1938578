// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tools/daemon/engine.h"

/* {name? (missing = the default branch), choose_port?: bool, port?: int} -> {branch, path (null =
 * not mounted), port (0 = none yet), ephemeral, poisoned, lost, files, writers, base, profile
 * ("" = by default), memory_bytes, cpus (0 = any), postgres (settings as text)}. With choose_port
 * the branch has a port afterwards, for ever: `port` or a free one. -EEXIST another branch has that
 * port. */
cow_errno verb_server_place(struct engine *g, const json_t *args, json_t **ret,
			    struct cow_error *e);

/* {name} -> {branch}: drop what never reached the disk of a branch after a failed write. -EBUSY
 * files of it are open. */
cow_errno verb_server_recover(struct engine *g, const json_t *args, json_t **ret,
			      struct cow_error *e);

/* {name, set?: {role: verifier}} -> {verifiers}: what is kept of the passwords that the branch has
 * for itself (pg/pgpasswords.h), with those of `set` in it from now on. */
cow_errno verb_server_verifiers(struct engine *g, const json_t *args, json_t **ret,
				struct cow_error *e);

/* {name, wait}: whether writes of the branch wait for room on a full disk. */
cow_errno verb_server_room(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e);
