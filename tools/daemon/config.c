// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/config.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

struct config {
	size_t n;
	struct entry {
		char *section, *key, *value;
	} * entries;
};

struct loading {
	struct config *config;
	struct cow_error *error;
	cow_errno failed;
};

/* Keys of a section, separated by blanks. */
static const struct {
	const char *section, *keys;
} known[] = {
    {"mount", "log_level cache cache_size threads transport verify_reads full_disk"},
    {"branches", "undelete_window max_branches max_unique_bytes profile memory cpus"},
    {"serve", "listen port tls_cert tls_key suspend_timeout suspend_idle_sessions max_running "
	      "max_connections max_starts wait sweep_interval sweep_max leave_running always_relay "
	      "log_level"},
    {"golden", "config"},
    {"fork", "subscriptions workers foreign_passwords role_passwords superusers"},
};

static bool is_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = words; n && (at = strstr(at, word)); at += n)
		if ((at == words || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
			return true;
	return false;
}

static bool is_known(const char *section, const char *key)
{
	for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
		if (strcmp(known[k].section, section) == 0 && is_word(known[k].keys, key))
			return true;
	return false;
}

/* inih: 1 = go on, 0 = error in this line. */
static int add_entry(void *arg, const char *section, const char *key, const char *value)
{
	struct loading *l = arg;
	struct config *c = l->config;
	struct entry *more;

	if (l->failed)
		return 0;
	if (!is_known(section, key)) {
		l->failed = cow_fail(l->error, -EINVAL, "unknown setting '%s' in section [%s]", key,
				     section);
		return 0;
	}
	more = realloc(c->entries, (c->n + 1) * sizeof(*more));
	if (!more) {
		l->failed = -ENOMEM;
		return 0;
	}
	c->entries = more;
	more[c->n] = (struct entry){strdup(section), strdup(key), strdup(value)};
	c->n++;
	return 1;
}

cow_errno config_load(const char *store, struct config **ret, struct cow_error *e)
{
	struct loading l = {.config = calloc(1, sizeof(struct config)), .error = e};
	char path[PATH_MAX];
	FILE *f;
	int line;

	if (!l.config)
		return cow_fail(e, -ENOMEM, "out of memory");
	snprintf(path, sizeof(path), "%s/cowfs.conf", store);
	*ret = l.config;
	f = fopen(path, "re");
	if (!f)
		return 0;
	line = ini_parse_file(f, add_entry, &l);
	fclose(f);
	if (line == 0)
		return 0;
	if (!l.failed)
		l.failed = cow_fail(e, -EINVAL, "neither a [section] nor a setting");
	cow_wrap(e, l.failed, "%s line %d", path, line);
	config_free(l.config);
	*ret = NULL;
	return l.failed;
}

void config_free(struct config *c)
{
	for (size_t k = 0; c && k < c->n; k++) {
		free(c->entries[k].section);
		free(c->entries[k].key);
		free(c->entries[k].value);
	}
	if (c)
		free(c->entries);
	free(c);
}

const char *config_get(const struct config *c, const char *section, const char *key)
{
	const char *found = NULL;

	for (size_t k = 0; c && k < c->n; k++)
		if (strcmp(c->entries[k].section, section) == 0 &&
		    strcmp(c->entries[k].key, key) == 0)
			found = c->entries[k].value;
	return found;
}
