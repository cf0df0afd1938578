// SPDX-License-Identifier: Apache-2.0
/* The statements of rules, the folder they are in, and finding the one that is about a column. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/cleanup.h"
#include "tools/golden/digest.h"
#include "tools/golden/rules.h"

#define FILE_MAX (16u << 20) /* bytes of one file of rules */

static void rule_release(struct golden_rule *r)
{
	free(r->database);
	free(r->schema);
	free(r->table);
	free(r->column);
	free(r->origin);
	golden_call_release(&r->call);
}

void golden_rules_release(struct golden_rules *r)
{
	for (size_t k = 0; k < r->n; k++)
		rule_release(&r->rules[k]);
	free(r->rules);
	*r = (struct golden_rules){0};
}

/* --- adding --- */

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static cow_errno refuse_second(struct golden_rules *r, const struct golden_rule *n,
			       struct cow_error *e)
{
	for (size_t k = 0; k < r->n; k++) {
		const struct golden_rule *o = &r->rules[k];

		if (o->large_objects == n->large_objects && same(o->database, n->database) &&
		    same(o->schema, n->schema) && same(o->table, n->table) &&
		    same(o->column, n->column))
			return cow_fail(e, -EINVAL, "%s%s%s%s%s is decided already at %s",
					n->schema ? n->schema : "large objects",
					n->schema ? "." : "", n->schema ? n->table : "",
					n->column ? "." : "", n->column ? n->column : "",
					o->origin);
	}
	return 0;
}

/* Takes over the contents of `n`, also on failure. */
static cow_errno add(struct golden_rules *r, struct golden_rule *n, struct cow_error *e)
{
	cow_errno failed = refuse_second(r, n, e);

	if (failed == 0 && r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 64;
		struct golden_rule *more = realloc(r->rules, cap * sizeof(*more));

		if (more) {
			r->rules = more;
			r->cap = cap;
		} else {
			failed = cow_fail(e, -ENOMEM, "no memory for rules");
		}
	}
	if (failed < 0)
		rule_release(n);
	else
		r->rules[r->n++] = *n;
	*n = (struct golden_rule){0};
	return failed;
}

/* --- statements --- */

struct parsing {
	struct golden_rules *rules;
	struct golden_scan scan;
	const char *origin, *database;
	struct cow_error *e;
};

static cow_errno expected(struct parsing *p, const char *what)
{
	const struct golden_scan *s = &p->scan;

	if (s->token == TOKEN_BAD)
		return cow_fail(p->e, -EINVAL, "a quoted text has no end");
	return cow_fail(p->e, -EINVAL, "wanted %s, found %s%s%s", what,
			s->token == TOKEN_END ? "the end of the file" : "'", s->word ? s->word : "",
			s->token == TOKEN_END ? "" : "'");
}

static cow_errno want(struct parsing *p, const char *word)
{
	if (!golden_scan_is(&p->scan, word))
		return expected(p, word);
	golden_scan_next(&p->scan);
	return 0;
}

/* a | a.b | a.b.c into parts[]; *ret how many. */
static cow_errno read_name(struct parsing *p, char *parts[3], size_t *ret)
{
	*ret = 0;
	for (;;) {
		if (p->scan.token != TOKEN_NAME)
			return expected(p, "a name");
		if (*ret == 3)
			return cow_fail(p->e, -EINVAL, "a name has at most three parts");
		parts[(*ret)++] = p->scan.word;
		p->scan.word = NULL;
		golden_scan_next(&p->scan);
		if (!golden_scan_is(&p->scan, "."))
			return 0;
		golden_scan_next(&p->scan);
	}
}

/* What the parts mean: with a column, the last is the column. */
static cow_errno place_name(struct parsing *p, struct golden_rule *n, bool column)
{
	char *parts[3] = {NULL, NULL, NULL};
	size_t count = 0;
	cow_errno r = read_name(p, parts, &count);

	if (r == 0 && (column ? count < 2 : count > 2))
		r = cow_fail(p->e, -EINVAL,
			     column ? "wanted table.column, found '%s'"
				    : "wanted schema.table, found more than '%s'",
			     parts[0]);
	if (r < 0) {
		for (size_t k = 0; k < count; k++)
			free(parts[k]);
		return r;
	}
	n->column = column ? parts[--count] : NULL;
	n->table = parts[--count];
	n->schema = count ? parts[0] : strdup("public");
	return n->schema ? 0 : -ENOMEM;
}

static cow_errno begin_rule(struct parsing *p, struct golden_rule *n)
{
	*n = (struct golden_rule){0};
	if (asprintf(&n->origin, "%s:%u", p->origin, p->scan.line) < 0)
		n->origin = NULL;
	n->database = p->database ? strdup(p->database) : NULL;
	return n->origin && (n->database || !p->database)
		   ? 0
		   : cow_fail(p->e, -ENOMEM, "no memory for rules");
}

static cow_errno parse_mask(struct parsing *p)
{
	struct golden_rule n;
	cow_errno r = begin_rule(p, &n);

	n.decision = GOLDEN_MASK;
	if (r == 0)
		r = place_name(p, &n, true);
	if (r == 0)
		r = want(p, "WITH");
	if (r == 0)
		r = golden_scan_call(&p->scan, &n.call, p->e);
	if (r == 0)
		return add(p->rules, &n, p->e);
	rule_release(&n);
	return r;
}

/* One of KEEP t (a, b): the same table, another column. Takes the word of the present token. */
static cow_errno keep_column(struct parsing *p, const struct golden_rule *table)
{
	struct golden_rule n;
	cow_errno r;

	if (p->scan.token != TOKEN_NAME)
		return expected(p, "a column");
	r = begin_rule(p, &n);
	n.decision = GOLDEN_KEEP;
	n.schema = strdup(table->schema);
	n.table = strdup(table->table);
	n.column = p->scan.word;
	p->scan.word = NULL;
	if (r == 0 && (!n.schema || !n.table))
		r = cow_fail(p->e, -ENOMEM, "no memory for rules");
	if (r < 0)
		rule_release(&n);
	else
		r = add(p->rules, &n, p->e);
	golden_scan_next(&p->scan);
	return r;
}

/* Parts of a name are a column or a table; which, is known only after it. */
static cow_errno parse_keep(struct parsing *p)
{
	struct golden_scan ahead = p->scan;
	struct golden_rule n;
	bool list;
	cow_errno r = begin_rule(p, &n);

	ahead.word = NULL;
	do
		golden_scan_next(&ahead);
	while (ahead.token == TOKEN_NAME || golden_scan_is(&ahead, "."));
	list = golden_scan_is(&ahead, "(");
	golden_scan_release(&ahead);
	n.decision = GOLDEN_KEEP;
	if (r == 0)
		r = place_name(p, &n, !list);
	if (r == 0 && !list)
		return add(p->rules, &n, p->e);
	if (r == 0)
		golden_scan_next(&p->scan);
	while (r == 0) {
		r = keep_column(p, &n);
		if (r == 0 && golden_scan_is(&p->scan, ")")) {
			golden_scan_next(&p->scan);
			break;
		}
		if (r == 0)
			r = want(p, ",");
	}
	rule_release(&n);
	return r;
}

static cow_errno parse_empty(struct parsing *p)
{
	struct golden_rule n;
	cow_errno r = begin_rule(p, &n);

	n.decision = GOLDEN_EMPTY;
	if (r == 0)
		r = place_name(p, &n, false);
	if (r == 0)
		return add(p->rules, &n, p->e);
	rule_release(&n);
	return r;
}

static cow_errno parse_large(struct parsing *p)
{
	struct golden_rule n;
	cow_errno r = begin_rule(p, &n);

	if (r == 0)
		r = want(p, "OBJECTS");
	n.large_objects = true;
	n.decision = golden_scan_is(&p->scan, "KEEP") ? GOLDEN_KEEP : GOLDEN_EMPTY;
	if (r == 0)
		r = want(p, n.decision == GOLDEN_KEEP ? "KEEP" : "EMPTY");
	if (r == 0)
		return add(p->rules, &n, p->e);
	rule_release(&n);
	return r;
}

/* SECURITY LABEL FOR anon ON COLUMN name IS 'text' */
static cow_errno parse_label(struct parsing *p)
{
	struct golden_rule n;
	cow_errno r = begin_rule(p, &n);

	if (r == 0)
		r = want(p, "LABEL");
	if (r == 0 && golden_scan_is(&p->scan, "FOR")) {
		golden_scan_next(&p->scan);
		r = want(p, "anon");
	}
	if (r == 0)
		r = want(p, "ON");
	if (r == 0)
		r = want(p, "COLUMN");
	if (r == 0)
		r = place_name(p, &n, true);
	if (r == 0)
		r = want(p, "IS");
	if (r == 0 && p->scan.token != TOKEN_TEXT)
		r = expected(p, "a label");
	if (r == 0)
		r = golden_label_read(p->scan.word, &n, p->e);
	if (r < 0) {
		rule_release(&n);
		return r;
	}
	golden_scan_next(&p->scan);
	return add(p->rules, &n, p->e);
}

static const struct {
	const char *word;
	cow_errno (*parse)(struct parsing *p);
} statements[] = {
    {"MASK", parse_mask},   {"KEEP", parse_keep},      {"EMPTY", parse_empty},
    {"LARGE", parse_large}, {"SECURITY", parse_label},
};

static cow_errno parse_statement(struct parsing *p)
{
	cow_errno r;

	for (size_t k = 0; k < sizeof(statements) / sizeof(statements[0]); k++) {
		if (!golden_scan_is(&p->scan, statements[k].word))
			continue;
		golden_scan_next(&p->scan);
		r = statements[k].parse(p);
		return r < 0 ? r : want(p, ";");
	}
	expected(p, "MASK, KEEP, EMPTY, LARGE OBJECTS or SECURITY LABEL");
	return cow_hint(p->e, -EINVAL,
			"For example: MASK public.users.email WITH email; KEEP public.users (id);");
}

cow_errno golden_rules_parse(struct golden_rules *rules, const char *text, const char *origin,
			     const char *database, struct cow_error *e)
{
	struct parsing p = {.rules = rules,
			    .scan = {.at = text, .line = 1},
			    .origin = origin,
			    .database = database,
			    .e = e};
	cow_errno r = 0;

	golden_scan_next(&p.scan);
	while (r == 0 && p.scan.token != TOKEN_END) {
		unsigned line = p.scan.line;

		r = parse_statement(&p);
		if (r < 0)
			cow_wrap(e, r, "%s line %u", origin, COW_MAX(line, p.scan.line));
	}
	golden_scan_release(&p.scan);
	return r;
}

/* --- the folder --- */

static char *slurp(const char *path, size_t *ret_len, struct cow_error *e)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	char *text = NULL;

	if (!f || fstat(fileno(f), &st) < 0) {
		cow_fail(e, -errno, "cannot read %s: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		cow_fail(e, -EINVAL, "%s is no file of rules", path);
	} else if ((text = malloc((size_t)st.st_size + 1))) {
		*ret_len = fread(text, 1, (size_t)st.st_size, f);
		text[*ret_len] = '\0';
	}
	if (f)
		fclose(f);
	return text;
}

struct folder {
	struct golden_rules *rules;
	struct digest *digest;
	struct cow_error *e;
	const char *root; /* the folder of rules: names in messages begin there */
};

static int is_rules(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && n > 4 && strcmp(d->d_name + n - 4, ".sql") == 0;
}

static int is_database(const struct dirent *d)
{
	return d->d_name[0] != '.' && (d->d_type == DT_DIR || d->d_type == DT_UNKNOWN);
}

static cow_errno load_file(struct folder *f, const char *path, const char *database)
{
	const char *name = path + strlen(f->root) - strlen(strrchr(f->root, '/') + 1);
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	text = slurp(path, &len, f->e);
	if (!text)
		return f->e && f->e->text[0] ? -EINVAL : cow_fail(f->e, -ENOMEM, "no memory");
	if (strlen(text) != len)
		return cow_fail(f->e, -EINVAL, "%s is no text", path);
	digest_add(f->digest, name, strlen(name) + 1);
	digest_add(f->digest, text, len + 1);
	return golden_rules_parse(f->rules, text, name, database, f->e);
}

static cow_errno load_folder(struct folder *f, const char *path, const char *database)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, is_rules, alphasort);
	cow_errno r = 0;

	if (n < 0)
		return cow_fail(f->e, -errno, "cannot read the folder %s: %s", path,
				strerror(errno));
	for (int k = 0; k < n; k++) {
		char full[PATH_MAX];

		snprintf(full, sizeof(full), "%s/%s", path, names[k]->d_name);
		if (r == 0)
			r = load_file(f, full, database);
		free(names[k]);
	}
	free(names);
	return r;
}

static cow_errno load_databases(struct folder *f)
{
	struct dirent **names = NULL;
	int n = scandir(f->root, &names, is_database, alphasort);
	cow_errno r = 0;

	for (int k = 0; k < n; k++) {
		char full[PATH_MAX];
		struct stat st;

		snprintf(full, sizeof(full), "%s/%s", f->root, names[k]->d_name);
		if (r == 0 && stat(full, &st) == 0 && S_ISDIR(st.st_mode))
			r = load_folder(f, full, names[k]->d_name);
		free(names[k]);
	}
	free(names);
	return r;
}

cow_errno golden_rules_load(const char *folder, struct golden_rules *ret, struct cow_error *e)
{
	struct folder f = {.rules = ret, .digest = digest_new(), .e = e, .root = folder};
	bool summed;
	cow_errno r;

	*ret = (struct golden_rules){0};
	r = load_folder(&f, folder, NULL);
	if (r == 0)
		r = load_databases(&f);
	summed = digest_end(f.digest, ret->hash);
	if (r == 0 && !summed)
		r = cow_fail(e, -ENOMEM, "no memory for a digest");
	if (r < 0)
		golden_rules_release(ret);
	return r;
}

/* --- finding --- */

static struct golden_rule *find(struct golden_rules *r, const struct golden_rule *what)
{
	struct golden_rule *found = NULL;

	for (size_t k = 0; k < r->n; k++) {
		struct golden_rule *o = &r->rules[k];

		if (o->large_objects != what->large_objects || !same(o->schema, what->schema) ||
		    !same(o->table, what->table) || !same(o->column, what->column) ||
		    (o->database && !same(o->database, what->database)))
			continue;
		/* One for this database alone comes before one for any. */
		if (!found || o->database)
			found = o;
	}
	if (found)
		found->used = true;
	return found;
}

struct golden_rule *golden_rules_find(struct golden_rules *r, const char *database,
				      const char *schema, const char *table, const char *column)
{
	const struct golden_rule what = {.database = (char *)database,
					 .schema = (char *)schema,
					 .table = (char *)table,
					 .column = (char *)column};

	return find(r, &what);
}

struct golden_rule *golden_rules_large_objects(struct golden_rules *r, const char *database)
{
	const struct golden_rule what = {.database = (char *)database, .large_objects = true};

	return find(r, &what);
}

cow_errno golden_rules_add_label(struct golden_rules *r, struct golden_rule *n, const char *label,
				 struct cow_error *e)
{
	cow_errno failed = 0;

	if (!find(r, n)) {
		failed = golden_label_read(label, n, e);
		if (failed == 0)
			return add(r, n, e);
		cow_wrap(e, failed, "label of %s.%s.%s", n->schema, n->table, n->column);
	}
	rule_release(n);
	return failed;
}

char *golden_call_text(const struct golden_call *c)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);

	if (!f)
		return NULL;
	fputs(c->name, f);
	for (size_t k = 0; k < c->n_args; k++)
		fprintf(f, c->quoted[k] ? "%s'%s'" : "%s%s", k ? ", " : "(", c->args[k]);
	fputs(c->n_args ? ")" : "", f);
	return fclose(f) == 0 ? buf : NULL;
}
