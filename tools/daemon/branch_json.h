// SPDX-License-Identifier: Apache-2.0
/* branch_json: a branch or a snapshot as the JSON object that users know. */
#pragma once
#include "store/branch.h"
#include "tools/daemon/engine.h"

/* "br-00000001": a branch as users know it over a change of name. */
#define BRANCH_ID_SIZE 32
void branch_id_text(uint64_t id, char ret[BRANCH_ID_SIZE]);
json_t *branch_id_json(uint64_t id); /* 0 = JSON null */

/* Keys: id name parent_id parent current_state default protected ephemeral expires_at created_at
 * last_reset_at data_state_at incarnation forks labels settings path, fork (of the settings, when
 * it is there), and with `space` also unique_bytes logical_size (null when they cannot be told). */
json_t *branch_json(struct engine *g, const struct cow_branch_info *b, bool space);

/* Look up and make the object; -ENOENT. */
cow_errno branch_json_get(struct engine *g, const char *name, bool space, json_t **ret,
			  struct cow_error *e);

/* Keys: branch name reference created_at message. */
json_t *snapshot_json(const struct cow_snapshot_info *p);

/* Add quota_bytes and quota_used_bytes of the branch; null = none. */
void branch_json_quota(struct engine *g, const struct cow_branch_info *b, json_t *o);
