// SPDX-License-Identifier: Apache-2.0
/* fork_policy: what a fork may keep of what reaches out of it, and who gets into it: the section
 * [fork] of cowfs.conf.
 *
 * A branch gets the policy of the configuration when it is made, and keeps it in its settings
 * ("fork"), where branch get shows it; a later change of the file is for later branches. */
#pragma once
#include <jansson.h>

#include "fs/pgconf.h"

/* Words of the policy: {subscriptions: disabled|kept, workers: off|kept, foreign_passwords:
 * removed|kept, role_passwords: kept|replaced, superusers: kept|locked}; the first of each where
 * nothing was said. */

/* The words as the configuration of this store has them, the standard ones where it is silent. *ret
 * is a new object. -EINVAL a word that is none; the reason names file and key. */
cow_errno fork_policy_configured(const char *store, json_t **ret, struct cow_error *e);

/* Change words: "KEY=WORD", as --fork has it. -EINVAL, the reason lists what there is. */
cow_errno fork_policy_set(json_t *policy, const char *text, struct cow_error *e);

/* The same with each of an array; NULL = none. */
cow_errno fork_policy_set_all(json_t *policy, const json_t *texts, struct cow_error *e);

/* The settings of a new branch, `given` (may be NULL) with its policy in them: that of the
 * configuration, changed by what was asked for (array, may be NULL). Free *ret. */
cow_errno fork_policy_into(const char *store, const json_t *given, const json_t *asked, char **ret,
			   struct cow_pgfork_policy *ret_policy, struct cow_error *e);

/* The policy of a branch with these settings (JSON text, may be NULL): what they say, else what the
 * configuration says. *ret_words may be NULL; it is a new object. */
cow_errno fork_policy_of(const char *store, const char *settings, struct cow_pgfork_policy *ret,
			 json_t **ret_words, struct cow_error *e);

/* From words to what fs/ knows. */
struct cow_pgfork_policy fork_policy_parse(const json_t *words);
