// SPDX-License-Identifier: Apache-2.0
#include "tools/schema/migrations.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/daemon/json_text.h"

#define ID_MAX 512

const char *const migrations_tables[] = {"flyway_schema_history",
					 "_prisma_migrations",
					 "django_migrations",
					 "databasechangelog",
					 "alembic_version",
					 "knex_migrations",
					 "SequelizeMeta",
					 "_sqlx_migrations",
					 "goose_db_version",
					 "schema_migrations",
					 NULL};

/* Told apart by their columns: a table may be called otherwise, and three tools share a name. */
const struct migrations_tool migrations_tools[] = {
    {"Flyway", "installed_rank version",
     "SELECT version FROM %s WHERE success AND version IS NOT NULL", MIGRATIONS_FLYWAY},
    {"Prisma", "migration_name finished_at",
     "SELECT migration_name FROM %s WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL",
     MIGRATIONS_NAME},
    {"Django", "app name", "SELECT app || '.' || name FROM %s", MIGRATIONS_DJANGO},
    {"Liquibase", "orderexecuted id", "SELECT id FROM %s", MIGRATIONS_EXACT},
    {"Alembic", "version_num", "SELECT version_num FROM %s", MIGRATIONS_EXACT},
    {"Knex", "migration_time name", "SELECT name FROM %s", MIGRATIONS_NAME},
    {"sqlx", "version checksum", "SELECT version::text FROM %s WHERE success", MIGRATIONS_VERSION},
    {"goose", "version_id is_applied",
     "SELECT version_id::text FROM (SELECT DISTINCT ON (version_id) version_id, is_applied FROM %s "
     "ORDER BY version_id, id DESC) x WHERE is_applied",
     MIGRATIONS_VERSION},
    {"golang-migrate", "version dirty", "SELECT version::text FROM %s WHERE NOT dirty",
     MIGRATIONS_LATEST},
    {"Rails", "version", "SELECT version::text FROM %s", MIGRATIONS_VERSION},
    {"Sequelize", "name", "SELECT name FROM %s", MIGRATIONS_NAME},
    {NULL, NULL, NULL, MIGRATIONS_EXACT},
};

/* --- from a line to an id --- */

static const char *base_name(const char *line)
{
	const char *slash = strrchr(line, '/');

	return slash ? slash + 1 : line;
}

/* "20240131_add.rb" -> "20240131"; leading zeros do not count. */
static bool number_of(const char *name, char *id, size_t size)
{
	size_t n;

	if (!isdigit((unsigned char)*name))
		return false;
	while (name[0] == '0' && isdigit((unsigned char)name[1]))
		name++;
	n = strspn(name, "0123456789");
	snprintf(id, size, "%.*s", (int)n, name);
	/* A version alone, or in front of a name: not 2fast.sql. */
	return name[n] == '\0' || strchr("_-.", name[n]);
}

/* V1_2__name.sql, V1.2__name.sql, 1.2 -> "1.2". Repeatable ones (R__) have no version. */
static bool flyway_of(const char *name, char *id, size_t size)
{
	const char *p = name + (*name == 'V' || *name == 'v');
	size_t n = 0;

	while (n + 1 < size && (isdigit((unsigned char)*p) ||
				(n > 0 && strchr("._", *p) && isdigit((unsigned char)p[1])))) {
		id[n++] = *p == '_' ? '.' : *p;
		p++;
	}
	id[n] = '\0';
	return n > 0 && (*p == '\0' || strncmp(p, "__", 2) == 0);
}

/* shop/orders/migrations/0003_add.py -> "orders.0003_add" */
static bool django_of(const char *line, char *id, size_t size)
{
	const char *mark = strstr(line, "/migrations/"), *app = mark, *name = base_name(line);
	size_t len = strlen(name);

	if (!mark) { /* as `showmigrations --plan` names it */
		snprintf(id, size, "%s", line);
		return strchr(line, '.') && !strchr(line, '/') &&
		       (len < 3 || strcmp(name + len - 3, ".py") != 0);
	}
	while (app > line && app[-1] != '/')
		app--;
	if (len < 4 || strcmp(name + len - 3, ".py") != 0 || *name == '_')
		return false;
	snprintf(id, size, "%.*s.%.*s", (int)(mark - app), app, (int)(len - 3), name);
	return true;
}

static bool ends(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && strcmp(name + n - m, end) == 0;
}

static bool name_of(const char *name, char *id, size_t size)
{
	snprintf(id, size, "%s", name);
	return *name && *name != '.' && strcmp(name, "migration_lock.toml") != 0 &&
	       !ends(name, ".md") && !ends(name, ".map") && !ends(name, ".d.ts");
}

/* False: the line is no migration. */
static bool id_of(const struct migrations_tool *tool, const char *line, char *id, size_t size)
{
	const char *name = base_name(line);

	/* Steps back belong to the step that they take back. */
	if (ends(name, ".down.sql"))
		return false;
	switch (tool->kind) {
	case MIGRATIONS_NAME:
		return name_of(name, id, size);
	case MIGRATIONS_VERSION:
	case MIGRATIONS_LATEST:
		return number_of(name, id, size);
	case MIGRATIONS_FLYWAY:
		return flyway_of(name, id, size);
	case MIGRATIONS_DJANGO:
		return django_of(line, id, size);
	case MIGRATIONS_EXACT:
		break;
	}
	snprintf(id, size, "%s", line);
	return *line != '\0';
}

/* --- comparing --- */

/* Numbers without leading zeros. */
static bool above(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	return n != m ? n > m : strcmp(a, b) > 0;
}

/* Ids of what was applied, as those of files: a set. */
static json_t *applied_ids(const struct migrations_tool *tool, const json_t *applied)
{
	json_t *set = json_object();
	const json_t *one;
	char id[ID_MAX];
	size_t k;

	json_array_foreach (applied, k, one) {
		const char *text = json_string_value(one);

		if (!text)
			continue;
		if (tool->kind == MIGRATIONS_VERSION || tool->kind == MIGRATIONS_LATEST ||
		    tool->kind == MIGRATIONS_FLYWAY) {
			if (id_of(tool, text, id, sizeof(id)))
				text = id;
		}
		json_object_set_new(set, text, json_true());
	}
	return set;
}

static bool is_applied(const struct migrations_tool *tool, const json_t *set, const char *id)
{
	const char *key;
	json_t *v;

	if (tool->kind != MIGRATIONS_LATEST)
		return json_object_get(set, id) != NULL;
	json_object_foreach ((json_t *)set, key, v)
		if (!above(id, key))
			return true;
	return false;
}

json_t *migrations_missing(const struct migrations_tool *tool, const json_t *applied,
			   const json_t *expected, size_t *ret_known)
{
	json_t *set = applied_ids(tool, applied), *seen = json_object(), *missing = json_array();
	const json_t *line;
	char id[ID_MAX];
	size_t k;

	*ret_known = 0;
	json_array_foreach (expected, k, line) {
		const char *text = json_string_value(line);

		if (!text || !id_of(tool, text, id, sizeof(id)) || json_object_get(seen, id))
			continue;
		json_object_set_new(seen, id, json_true());
		(*ret_known)++;
		if (!is_applied(tool, set, id))
			json_array_append_new(missing, json_text(id));
	}
	json_decref(set);
	json_decref(seen);
	return missing;
}

/* --- what is expected --- */

static void add_words(json_t *list, char *text, const char *between)
{
	char *rest = text;

	for (char *word; (word = strsep(&rest, between));) {
		size_t n;

		word += strspn(word, " \t\r");
		for (n = strlen(word); n > 0 && strchr(" \t\r/", word[n - 1]); n--)
			word[n - 1] = '\0';
		if (*word)
			json_array_append_new(list, json_text(word));
	}
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static cow_errno add_folder(json_t *list, const char *path, struct cow_error *e)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, NULL, by_name);

	if (n < 0)
		return cow_fail(e, -errno, "cannot read the migrations in %s: %s", path,
				strerror(errno));
	for (int k = 0; k < n; k++) {
		char *line = NULL;

		/* With its folder: that of Django says the application. */
		if (names[k]->d_name[0] != '.' &&
		    asprintf(&line, "%s/%s", path, names[k]->d_name) > 0)
			json_array_append_new(list, json_text(line));
		free(line);
		free(names[k]);
	}
	free(names);
	return 0;
}

static cow_errno add_input(json_t *list, int in, struct cow_error *e)
{
	FILE *f = fdopen(dup(in), "r");
	char *line = NULL;
	size_t room = 0;

	if (!f)
		return cow_fail(e, -errno, "cannot read the migrations: %s", strerror(errno));
	while (getline(&line, &room, f) > 0)
		add_words(list, line, "\n");
	free(line);
	fclose(f);
	return 0;
}

cow_errno migrations_expected(const char *text, int in, json_t **ret, struct cow_error *e)
{
	json_t *list = json_array();
	CLEANUP_FREE char *copy = strdup(text);
	struct stat st;
	cow_errno r = copy ? 0 : cow_fail(e, -ENOMEM, "out of memory");

	if (r == 0 && strcmp(text, "-") == 0)
		r = add_input(list, in, e);
	else if (r == 0 && stat(text, &st) == 0 && S_ISDIR(st.st_mode))
		r = add_folder(list, text, e);
	else if (r == 0)
		add_words(list, copy, ",\n");
	if (r == 0 && json_array_size(list) == 0)
		r = cow_fail(e, -EINVAL, "--migrations %s names no migration", text);
	if (r < 0)
		json_decref(list);
	else
		*ret = list;
	return r;
}
