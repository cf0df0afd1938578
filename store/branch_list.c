// SPDX-License-Identifier: Apache-2.0
/* branch_list: what there is, and what names are good. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/branch_impl.h"
#include "store/cleanup.h"

static cow_errno bad_name(struct cow_error *e, const char *name, const char *why)
{
	cow_fail(e, -EINVAL, "'%.60s' cannot be a branch name: %s", name, why);
	return cow_hint(e, -EINVAL,
			"Use letters, digits, '-', '_', '.' and '/', like a git branch.");
}

/* Bytes of the UTF-8 sequence at `p`, 0 if it is none. */
static size_t utf8_len(const unsigned char *p)
{
	size_t n = p[0] < 0x80                     ? 1
		   : (p[0] >= 0xc2 && p[0] < 0xe0) ? 2
		   : (p[0] & 0xf0) == 0xe0         ? 3
		   : (p[0] >= 0xf0 && p[0] < 0xf5) ? 4
						   : 0;

	for (size_t k = 1; k < n; k++)
		if ((p[k] & 0xc0) != 0x80)
			return 0;
	return n;
}

static const char *fault_of_part(const char *part, size_t n)
{
	if (n == 0)
		return "it has an empty part";
	if (part[0] == '.' && (n == 1 || (n == 2 && part[1] == '.')))
		return "a part is '.' or '..'";
	if (part[0] == '^' || part[0] == '-')
		return "a part begins with '^' or '-'";
	return n > COW_NAME_MAX ? "a part is longer than 255 bytes" : NULL;
}

cow_errno cow_branch_name_check(const char *name, struct cow_error *e)
{
	const char *part = name, *why;
	size_t n = strlen(name);

	if (n == 0 || n > COW_BRANCH_MAX)
		return bad_name(e, name, n ? "it is longer than 255 bytes" : "it is empty");
	for (const unsigned char *p = (const unsigned char *)name; *p;) {
		size_t step = utf8_len(p);

		if (!step)
			return bad_name(e, "(not text)", "it is not UTF-8");
		if (*p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0))
			return bad_name(e, "(unprintable)", "it has a control character");
		if (*p == '@')
			return bad_name(e, name, "'@' separates a branch from its snapshot");
		p += step;
	}
	if (name[0] == ' ' || name[n - 1] == ' ')
		return bad_name(e, name, "it begins or ends with a space");
	for (;;) {
		size_t len = strcspn(part, "/");

		if ((why = fault_of_part(part, len)))
			return bad_name(e, name, why);
		if (!part[len])
			return 0;
		part += len + 1;
	}
}

void cow_branch_info_release(struct cow_branch_info *b)
{
	free(b->settings);
	b->settings = NULL;
}

struct names {
	char **at;
	size_t n, cap;
};

static void names_release(struct names *n)
{
	for (size_t k = 0; k < n->n; k++)
		free(n->at[k]);
	free(n->at);
}

static int add_name(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct names *n = arg;

	if (n->n == n->cap) {
		size_t cap = n->cap ? 2 * n->cap : 64;
		void *more = realloc(n->at, cap * sizeof(*n->at));

		if (!more)
			return -ENOMEM;
		n->at = more;
		n->cap = cap;
	}
	n->at[n->n] = strndup((const char *)key + 1, klen - 1);
	return n->at[n->n++] ? 0 : -ENOMEM;
}

static cow_errno all_names(struct cow_store *s, struct names *ret)
{
	struct cow_key k = cow_key_type('B');

	return s->kv->ops->scan(s->kv, k.b, k.len, NULL, 0, add_name, ret);
}

/* Poisoned files of the lineage are on record. */
static bool is_poisoned(struct cow_store *s, uint64_t lineage)
{
	CLEANUP(cow_buf_release) struct cow_buf key = {0};
	CLEANUP(cow_buf_release) struct cow_buf val = {0};
	struct cow_key k = cow_key_type1('P', lineage);

	return s->kv->ops->seek(s->kv, k.b, k.len, k.len, &key, &val) == 0;
}

static bool is_lost(struct cow_store *s, uint64_t lineage)
{
	struct cow_lineage_rec rec;

	return cow_lineage_get(s, lineage, &rec) == 0 && cow_lineage_is_lost(&rec, s->boot_id);
}

static uint32_t count_forks(struct cow_store *s, uint64_t lineage)
{
	struct cow_lineage_rec rec;
	uint32_t n = 0;

	while (cow_lineage_get(s, lineage, &rec) == 0 && rec.parent) {
		lineage = rec.parent;
		n++;
	}
	return n;
}

static void fill(struct cow_store *s, const char *name, struct cow_branch_rec *b, uint64_t def,
		 struct cow_branch_info *out)
{
	*out = (struct cow_branch_info){
	    .id = b->id,
	    .lineage = b->lineage,
	    .incarnation = b->incarnation,
	    .parent_id = b->parent_id,
	    .created_ns = b->created_ns,
	    .reset_ns = b->reset_ns,
	    .data_ns = b->data_ns,
	    .is_default = b->id == def,
	    .ephemeral = b->flags & COW_BRANCH_EPHEMERAL,
	    .poisoned = is_poisoned(s, b->lineage),
	    .lost = is_lost(s, b->lineage),
	    .forks = count_forks(s, b->lineage),
	    .quota = b->quota,
	    .settings = TAKE_PTR(b->settings),
	};
	memcpy(out->name, name, strnlen(name, COW_BRANCH_MAX));
	cow_branch_by_id(s, b->parent_id, out->parent);
}

cow_errno cow_branch_get(struct cow_store *s, const char *name, struct cow_branch_info *ret,
			 struct cow_error *e)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	uint64_t def;
	cow_errno r;

	if ((r = cow_branch_read(s, name, &b, e)) < 0)
		return r;
	if ((r = cow_meta_get(s, "default", &def)) < 0)
		return cow_fail(e, r, "the map is damaged");
	fill(s, name, &b, def, ret);
	return 0;
}

cow_errno cow_branch_each(struct cow_store *s,
			  int (*each)(const struct cow_branch_info *b, void *arg), void *arg)
{
	CLEANUP(names_release) struct names names = {0};
	uint64_t def;
	int r = all_names(s, &names);

	if (r == 0)
		r = cow_meta_get(s, "default", &def);
	for (size_t k = 0; r == 0 && k < names.n; k++) {
		CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
		struct cow_branch_info info;

		if (cow_branch_read(s, names.at[k], &b, NULL) < 0)
			continue; /* deleted since */
		fill(s, names.at[k], &b, def, &info);
		r = each(&info, arg);
		cow_branch_info_release(&info);
	}
	return r;
}

struct deleted {
	struct cow_deleted_rec *at;
	size_t n, cap;
};

static void deleted_release(struct deleted *d)
{
	for (size_t k = 0; k < d->n; k++)
		cow_branch_release(&d->at[k].branch);
	free(d->at);
}

static int add_deleted(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct deleted *d = arg;

	if (d->n == d->cap) {
		size_t cap = d->cap ? 2 * d->cap : 16;
		void *more = realloc(d->at, cap * sizeof(*d->at));

		if (!more)
			return -ENOMEM;
		d->at = more;
		d->cap = cap;
	}
	if (cow_deleted_decode(val, vlen, &d->at[d->n]) == 0)
		d->n++;
	return 0;
}

static int by_deletion(const void *a, const void *b)
{
	const struct cow_deleted_rec *x = a, *y = b;

	return (x->deleted_ns > y->deleted_ns) - (x->deleted_ns < y->deleted_ns);
}

cow_errno cow_deleted_each(struct cow_store *s,
			   int (*each)(const struct cow_deleted_info *d, void *arg), void *arg)
{
	CLEANUP(deleted_release) struct deleted all = {0};
	struct cow_key k = cow_key_type('D');
	int r = s->kv->ops->scan(s->kv, k.b, k.len, NULL, 0, add_deleted, &all);

	if (r == 0 && all.n)
		qsort(all.at, all.n, sizeof(*all.at), by_deletion);
	for (size_t n = 0; r == 0 && n < all.n; n++) {
		struct cow_deleted_rec *d = &all.at[n];
		struct cow_deleted_info info = {.deleted_ns = d->deleted_ns,
						.until_ns = d->until_ns};

		fill(s, d->name, &d->branch, 0, &info.b);
		r = each(&info, arg);
		cow_branch_info_release(&info.b);
	}
	return r;
}
