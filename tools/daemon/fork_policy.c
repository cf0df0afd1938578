// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/fork_policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/daemon/config.h"

#define SECTION "fork"

static const struct {
	const char *key, *standard, *other;
} words[] = {
    {"subscriptions", "disabled", "kept"},    {"workers", "off", "kept"},
    {"foreign_passwords", "removed", "kept"}, {"role_passwords", "kept", "replaced"},
    {"superusers", "kept", "locked"},
};
#define WORDS (sizeof(words) / sizeof(words[0]))

/* Borrowed from the table; NULL = no such word. */
static const char *known(size_t k, const char *word)
{
	return strcmp(word, words[k].standard) == 0 ? words[k].standard
	       : strcmp(word, words[k].other) == 0  ? words[k].other
						    : NULL;
}

cow_errno fork_policy_configured(const char *store, json_t **ret, struct cow_error *e)
{
	struct config *c = NULL;
	json_t *o = json_object();
	cow_errno r = config_load(store, &c, e);

	for (size_t k = 0; r == 0 && k < WORDS; k++) {
		const char *given = config_get(c, SECTION, words[k].key);
		const char *word = given ? known(k, given) : words[k].standard;

		if (word)
			json_object_set_new(o, words[k].key, json_string(word));
		else
			r = cow_fail(e, -EINVAL,
				     "%s/cowfs.conf: [" SECTION "] %s is %s or %s, not '%s'", store,
				     words[k].key, words[k].standard, words[k].other, given);
	}
	config_free(c);
	if (r == 0)
		*ret = o;
	else
		json_decref(o);
	return r;
}

cow_errno fork_policy_set(json_t *policy, const char *text, struct cow_error *e)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;

	for (size_t k = 0; equals && k < WORDS; k++) {
		const char *word = known(k, equals + 1);

		if (strlen(words[k].key) == len && memcmp(words[k].key, text, len) == 0 && word)
			return json_object_set_new(policy, words[k].key, json_string(word));
	}
	cow_fail(e, -EINVAL, "--fork does not take '%s'", text);
	return cow_hint(e, -EINVAL,
			"It takes subscriptions=disabled|kept, workers=off|kept, "
			"foreign_passwords=removed|kept, role_passwords=kept|replaced, "
			"superusers=kept|locked.");
}

/* Has the policy the word that is not the standard one? */
static bool is_other(const json_t *policy, const char *key)
{
	const char *text = json_string_value(json_object_get(policy, key));

	for (size_t k = 0; text && k < WORDS; k++)
		if (strcmp(words[k].key, key) == 0)
			return strcmp(text, words[k].other) == 0;
	return false;
}

struct cow_pgfork_policy fork_policy_parse(const json_t *policy)
{
	return (struct cow_pgfork_policy){
	    .keep_subscriptions = is_other(policy, "subscriptions"),
	    .keep_workers = is_other(policy, "workers"),
	    .keep_passwords = is_other(policy, "foreign_passwords"),
	    .replace_role_passwords = is_other(policy, "role_passwords"),
	    .lock_superusers = is_other(policy, "superusers"),
	};
}

cow_errno fork_policy_set_all(json_t *policy, const json_t *texts, struct cow_error *e)
{
	cow_errno r = 0;
	json_t *v;
	size_t k;

	json_array_foreach (texts, k, v)
		if (r == 0)
			r = fork_policy_set(policy,
					    json_string_value(v) ? json_string_value(v) : "", e);
	return r;
}

cow_errno fork_policy_into(const char *store, const json_t *given, const json_t *asked, char **ret,
			   struct cow_pgfork_policy *ret_policy, struct cow_error *e)
{
	json_t *settings = given ? json_deep_copy(given) : json_object(), *policy = NULL;
	cow_errno r = fork_policy_configured(store, &policy, e);

	if (r == 0)
		r = fork_policy_set_all(policy, asked, e);
	if (r == 0) {
		*ret_policy = fork_policy_parse(policy);
		json_object_set(settings, "fork", policy);
		*ret = json_dumps(settings, JSON_COMPACT);
		r = *ret ? 0 : cow_fail(e, -ENOMEM, "no memory for settings");
	}
	json_decref(policy);
	json_decref(settings);
	return r;
}

cow_errno fork_policy_of(const char *store, const char *settings, struct cow_pgfork_policy *ret,
			 json_t **ret_words, struct cow_error *e)
{
	json_t *all = settings ? json_loads(settings, 0, NULL) : NULL;
	json_t *policy = json_incref(json_object_get(all, SECTION));
	cow_errno r = 0;

	json_decref(all);
	if (!json_is_object(policy)) {
		json_decref(policy);
		policy = NULL;
		r = fork_policy_configured(store, &policy, e);
	}
	if (r < 0)
		return r;
	if (ret)
		*ret = fork_policy_parse(policy);
	if (ret_words)
		*ret_words = json_incref(policy);
	json_decref(policy);
	return 0;
}
