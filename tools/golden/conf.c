// SPDX-License-Identifier: Apache-2.0
/* The parser of golden.conf: one table says which keys there are, where they go, and what they are.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ini.h>

#include "store/branch.h"
#include "store/cleanup.h"
#include "tools/cli/parse.h"
#include "tools/golden/golden.h"
#include "tools/golden/schedule.h"

enum kind { TEXT, PATH, NUMBER, YES_NO, KEEP_DROP, SOURCE, WORDS };

static const struct key {
	const char *section, *name;
	enum kind kind;
	size_t offset; /* of the field */
	unsigned low, high;
} keys[] = {
#define AT(field) offsetof(struct golden_conf, field)
    {"image", "name", TEXT, AT(name), 0, 0},
    {"image", "databases", WORDS, AT(databases), 0, 0},
    {"image", "owner", TEXT, AT(owner), 0, 0},
    {"image", "keep", NUMBER, AT(keep), 1, 1000},
    {"image", "refresh", TEXT, AT(schedule), 0, 0},
    {"source", "type", SOURCE, AT(source), 0, 0},
    {"source", "url", TEXT, AT(url), 0, 0},
    {"source", "pgdata", PATH, AT(pgdata), 0, 0},
    {"source", "dump", PATH, AT(dump), 0, 0},
    {"source", "globals", PATH, AT(globals), 0, 0},
    {"source", "stanza", TEXT, AT(stanza), 0, 0},
    {"source", "repo", PATH, AT(repo), 0, 0},
    {"source", "config", PATH, AT(pgbackrest), 0, 0},
    {"source", "version", NUMBER, AT(version), 12, 18},
    {"source", "superuser", TEXT, AT(superuser), 0, 0},
    {"masking", "rules", PATH, AT(rules), 0, 0},
    {"masking", "salt", PATH, AT(salt), 0, 0},
    {"masking", "labels", YES_NO, AT(labels), 0, 0},
    {"masking", "jobs", NUMBER, AT(jobs), 1, 256},
    {"publish", "fake_domain", WORDS, AT(fake_domains), 0, 0},
    {"publish", "allow_domain", WORDS, AT(allow_domains), 0, 0},
    {"publish", "allow", WORDS, AT(allow), 0, 0},
    {"publish", "rewrite_after", NUMBER, AT(rewrite_after), 0, 100},
    {"publish", "sample", NUMBER, AT(sample), 1, 1000000},
    {"publish", "min_length", NUMBER, AT(min_length), 4, 1000},
    {"publish", "passwords", KEEP_DROP, AT(keep_passwords), 0, 0},
#undef AT
};
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

static const char *const source_words[] = {
    [GOLDEN_BASEBACKUP] = "basebackup",
    [GOLDEN_PGDATA] = "pgdata",
    [GOLDEN_DUMP] = "dump",
    [GOLDEN_PGBACKREST] = "pgbackrest",
};
#define N_SOURCES (sizeof(source_words) / sizeof(source_words[0]))

struct loading {
	struct golden_conf *conf;
	struct cow_error *e;
	cow_errno failed;
	const char *dir; /* of the file: where relative paths begin */
	bool given[N_KEYS];
};

static const struct key *find_key(const char *section, const char *name)
{
	for (size_t k = 0; k < N_KEYS; k++)
		if (strcmp(keys[k].section, section) == 0 && strcmp(keys[k].name, name) == 0)
			return &keys[k];
	return NULL;
}

/* The nearest key, so that a slip of the pen is seen as one. */
static cow_errno unknown(struct loading *l, const char *section, const char *name)
{
	const struct key *best = NULL;
	unsigned least = 4;

	for (size_t k = 0; k < N_KEYS; k++) {
		unsigned far = parse_distance(keys[k].name, name);

		if (strcmp(keys[k].name, name) == 0)
			far = 0;
		if (far < least) {
			least = far;
			best = &keys[k];
		}
	}
	cow_fail(l->e, -EINVAL, "unknown setting '%s' in section [%s]", name, section);
	if (best)
		cow_hint(l->e, -EINVAL, "Perhaps %s in [%s]?", best->name, best->section);
	return -EINVAL;
}

static char *absolute(const char *dir, const char *value)
{
	char *path = NULL;

	if (value[0] == '/')
		return strdup(value);
	return asprintf(&path, "%s/%s", dir, value) < 0 ? NULL : path;
}

static void free_words(char **words)
{
	for (char **w = words; w && *w; w++)
		free(*w);
	free(words);
}

/* "a, b c" -> {"a", "b", "c", NULL} */
static char **split(const char *value)
{
	char **words = calloc(strlen(value) / 2 + 2, sizeof(*words));
	size_t n = 0;

	for (const char *p = value + strspn(value, " ,\t"); words && *p; p += strspn(p, " ,\t")) {
		size_t len = strcspn(p, " ,\t");

		if (!(words[n++] = strndup(p, len))) {
			free_words(words);
			return NULL;
		}
		p += len;
	}
	return words;
}

static cow_errno set_source(struct loading *l, const char *value, void *field)
{
	for (size_t k = 0; k < N_SOURCES; k++) {
		if (strcasecmp(value, source_words[k]) == 0) {
			*(enum golden_source *)field = (enum golden_source)k;
			return 0;
		}
	}
	return cow_fail(l->e, -EINVAL, "type is basebackup, pgdata, dump or pgbackrest, not '%s'",
			value);
}

static cow_errno set_flag(struct loading *l, const struct key *key, const char *value, void *field)
{
	static const char *const words[][2] = {{"yes", "no"}, {"keep", "drop"}};
	const char *const *w = words[key->kind == KEEP_DROP];

	*(bool *)field = strcasecmp(value, w[0]) == 0;
	if (*(bool *)field || strcasecmp(value, w[1]) == 0)
		return 0;
	return cow_fail(l->e, -EINVAL, "%s is %s or %s, not '%s'", key->name, w[0], w[1], value);
}

static cow_errno set(struct loading *l, const struct key *key, const char *value)
{
	void *field = (char *)l->conf + key->offset;
	uint64_t n = 0;
	cow_errno r = 0;

	switch (key->kind) {
	case TEXT:
	case PATH:
		free(*(char **)field);
		*(char **)field = key->kind == PATH ? absolute(l->dir, value) : strdup(value);
		return *(char **)field ? 0 : -ENOMEM;
	case WORDS:
		free_words(*(char ***)field);
		*(char ***)field = split(value);
		return *(char ***)field ? 0 : -ENOMEM;
	case NUMBER:
		r = parse_number(value, key->low, key->high, &n, l->e);
		if (r == 0)
			*(unsigned *)field = (unsigned)n;
		return cow_wrap(l->e, r, "%s", key->name);
	case SOURCE:
		return set_source(l, value, field);
	case YES_NO:
	case KEEP_DROP:
		return set_flag(l, key, value, field);
	}
	return -EINVAL;
}

/* inih: 1 = go on, 0 = error in this line. */
static int take(void *arg, const char *section, const char *name, const char *value)
{
	struct loading *l = arg;
	const struct key *key = find_key(section, name);

	if (l->failed)
		return 0;
	if (!key)
		l->failed = unknown(l, section, name);
	else if (!*value)
		l->failed = cow_fail(l->e, -EINVAL, "%s has no value", name);
	else if (l->given[key - keys])
		l->failed = cow_fail(l->e, -EINVAL, "%s is set twice", name);
	else
		l->failed = set(l, key, value);
	if (key)
		l->given[key - keys] = true;
	return l->failed == 0;
}

/* --- what belongs together --- */

static const struct {
	enum golden_source source;
	const char *name;
	size_t offset;
	bool needed;
} belongs[] = {
    {GOLDEN_BASEBACKUP, "url", offsetof(struct golden_conf, url), true},
    {GOLDEN_PGDATA, "pgdata", offsetof(struct golden_conf, pgdata), true},
    {GOLDEN_DUMP, "dump", offsetof(struct golden_conf, dump), true},
    {GOLDEN_DUMP, "globals", offsetof(struct golden_conf, globals), false},
    {GOLDEN_PGBACKREST, "stanza", offsetof(struct golden_conf, stanza), true},
    {GOLDEN_PGBACKREST, "repo", offsetof(struct golden_conf, repo), false},
    {GOLDEN_PGBACKREST, "config", offsetof(struct golden_conf, pgbackrest), false},
};

static cow_errno check_source(const struct loading *l)
{
	const struct golden_conf *c = l->conf;

	if (!l->given[find_key("source", "type") - keys]) {
		cow_fail(l->e, -EINVAL, "section [source] has no type");
		return cow_hint(l->e, -EINVAL, "type = basebackup, pgdata, dump or pgbackrest");
	}
	for (size_t k = 0; k < sizeof(belongs) / sizeof(belongs[0]); k++) {
		bool has = *(char *const *)((const char *)c + belongs[k].offset) != NULL;

		if (belongs[k].source == c->source && belongs[k].needed && !has)
			return cow_fail(l->e, -EINVAL, "a source of type %s needs %s in [source]",
					source_words[c->source], belongs[k].name);
		if (belongs[k].source != c->source && has)
			return cow_fail(l->e, -EINVAL, "%s in [source] is not for type %s",
					belongs[k].name, source_words[c->source]);
	}
	return 0;
}

/* What is version-controlled with the rules would not be a secret. */
static cow_errno check_salt(const struct loading *l)
{
	const struct golden_conf *c = l->conf;
	size_t len = strlen(c->rules);

	if (!c->salt || strncmp(c->salt, c->rules, len) != 0 || c->salt[len] != '/')
		return 0;
	cow_fail(l->e, -EINVAL, "the salt must not lie in the folder of the rules");
	return cow_hint(l->e, -EINVAL, "Leave it out: it is then kept in the store.");
}

/* postgresql://user:secret@host, password=secret, sslpassword = secret. A colon after the host is
 * that of a port. */
static bool has_password(const char *url)
{
	const char *scheme = strstr(url, "://"), *host = scheme ? scheme + 3 : NULL;
	size_t user = host ? strcspn(host, ":@/?#") : 0;

	if (host && host[user] == ':' && host[user + strcspn(host + user, "@/?#")] == '@')
		return true;
	for (const char *p = url; (p = strcasestr(p, "password")); p += 8)
		if (p[8 + strspn(p + 8, " \t")] == '=')
			return true;
	return false;
}

/* The file is for version control, and a connection string goes onto command lines. */
static cow_errno check_url(const struct loading *l)
{
	if (!l->conf->url || !has_password(l->conf->url))
		return 0;
	cow_fail(l->e, -EINVAL, "url in [source] holds a password, which others could read");
	return cow_hint(l->e, -EINVAL,
			"Put it into ~/.pgpass of %s, or into a file that passfile= names.",
			l->conf->owner);
}

static cow_errno fill_defaults(struct golden_conf *c, const char *dir)
{
	if (!c->name)
		c->name = strdup("golden");
	if (!c->rules)
		c->rules = absolute(dir, "rules");
	if (!c->owner)
		c->owner = strdup("postgres");
	if (!c->jobs)
		c->jobs = (unsigned)COW_MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
	if (!c->keep)
		c->keep = 2;
	if (!c->sample)
		c->sample = 1000;
	if (!c->min_length)
		c->min_length = 8;
	return c->name && c->rules && c->owner ? 0 : -ENOMEM;
}

static cow_errno read_file(struct loading *l, const char *path)
{
	FILE *f = fopen(path, "re");
	int line;
	cow_errno r;

	if (!f) {
		r = cow_fail(l->e, -errno, "cannot read %s: %s", path, strerror(errno));
		return r == -ENOENT ? cow_hint(l->e, r, "Make one: cowfs golden init DIR") : r;
	}
	line = ini_parse_file(f, take, l);
	fclose(f);
	if (line == 0)
		return 0;
	if (!l->failed)
		l->failed = cow_fail(l->e, -EINVAL, "neither a [section] nor a setting");
	return cow_wrap(l->e, l->failed, "%s line %d", path, line);
}

static char *path_of_file(const char *given)
{
	char real[PATH_MAX];
	char *path = NULL;
	struct stat st;

	if (!realpath(given, real))
		return strdup(given);
	if (stat(real, &st) < 0 || !S_ISDIR(st.st_mode))
		return strdup(real);
	return asprintf(&path, "%s/golden.conf", real) < 0 ? NULL : path;
}

cow_errno golden_conf_load(const char *path, struct golden_conf **ret, struct cow_error *e)
{
	struct golden_conf *c = calloc(1, sizeof(*c));
	struct loading l = {.conf = c, .e = e};
	CLEANUP_FREE char *dir = NULL;
	char *slash;
	cow_errno r;

	if (c)
		c->path = path_of_file(path);
	dir = c && c->path ? strdup(c->path) : NULL;
	if (!dir) {
		golden_conf_free(c);
		return cow_fail(e, -ENOMEM, "no memory for the configuration");
	}
	slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
	l.dir = slash ? dir : ".";
	c->labels = true;
	c->rewrite_after = 7;
	r = read_file(&l, c->path);
	if (r == 0 && fill_defaults(c, l.dir) < 0)
		r = cow_fail(e, -ENOMEM, "no memory for the configuration");
	if (r == 0) {
		r = check_source(&l);
		if (r == 0)
			r = check_salt(&l);
		if (r == 0)
			r = check_url(&l);
		if (r == 0)
			r = cow_branch_name_check(c->name, e);
		if (r == 0 && c->schedule)
			r = schedule_next(c->schedule, 0, &(int64_t){0}, e);
		if (r == 0 && strlen(c->name) > GOLDEN_NAME_MAX)
			r = cow_fail(e, -EINVAL, "the name of the image is longer than %d bytes",
				     GOLDEN_NAME_MAX);
		cow_wrap(e, r, "%s", c->path);
	}
	if (r < 0) {
		golden_conf_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void golden_conf_free(struct golden_conf *c)
{
	if (!c)
		return;
	for (size_t k = 0; k < N_KEYS; k++) {
		void *field = (char *)c + keys[k].offset;

		if (keys[k].kind == TEXT || keys[k].kind == PATH)
			free(*(char **)field);
		else if (keys[k].kind == WORDS)
			free_words(*(char ***)field);
	}
	free(c->path);
	free(c);
}
