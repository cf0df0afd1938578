// SPDX-License-Identifier: Apache-2.0
#include "tools/ci/prlist.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"

static cow_errno add(struct prlist *l, uint64_t number, struct cow_error *e)
{
	uint64_t *more = realloc(l->numbers, (l->n + 1) * sizeof(*more));

	if (!more)
		return cow_fail(e, -ENOMEM, "out of memory");
	l->numbers = more;
	l->numbers[l->n++] = number;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void prlist_sort(struct prlist *l)
{
	size_t kept = 0;

	if (l->n == 0)
		return;
	qsort(l->numbers, l->n, sizeof(*l->numbers), compare);
	for (size_t k = 1; k < l->n; k++)
		if (l->numbers[k] != l->numbers[kept])
			l->numbers[++kept] = l->numbers[k];
	l->n = kept + 1;
}

bool prlist_has(const struct prlist *l, uint64_t number)
{
	return l->n && bsearch(&number, l->numbers, l->n, sizeof(*l->numbers), compare);
}

bool prlist_equal(const struct prlist *a, const struct prlist *b)
{
	return a->n == b->n &&
	       (a->n == 0 || memcmp(a->numbers, b->numbers, a->n * sizeof(*a->numbers)) == 0);
}

void prlist_release(struct prlist *l)
{
	free(l->numbers);
	*l = (struct prlist){0};
}

cow_errno prlist_add_json(struct prlist *l, const json_t *array, const char *name,
			  struct cow_error *e)
{
	cow_errno r = 0;
	json_t *v;
	size_t k;

	if (!json_is_array(array))
		return cow_fail(e, -EINVAL, "%s is no list of pull requests", name);
	json_array_foreach (array, k, v) {
		const json_t *n = v;

		if (json_is_object(v)) {
			n = json_object_get(v, "iid");
			n = n ? n : json_object_get(v, "number");
		}
		if (!json_is_integer(n) || json_integer_value(n) <= 0)
			return cow_fail(e, -EINVAL, "entry %zu of %s has no number", k + 1, name);
		r = add(l, (uint64_t)json_integer_value(n), e);
		if (r < 0)
			return r;
	}
	return 0;
}

static cow_errno add_lines(struct prlist *l, const char *text, const char *name,
			   struct cow_error *e)
{
	const char *p = text;
	cow_errno r = 0;

	for (unsigned line = 1; r == 0 && *p; line++) {
		size_t end = strcspn(p, "\n");
		char *after;
		uint64_t n;

		p += strspn(p, " \t\r");
		if (isdigit((unsigned char)*p)) {
			errno = 0;
			n = strtoull(p, &after, 10);
			after += strspn(after, " \t\r");
			if (errno || n == 0 || (*after && *after != '\n' && *after != '#'))
				return cow_fail(e, -EINVAL, "line %u of %s is no number", line,
						name);
			r = add(l, n, e);
		} else if (*p && *p != '\n' && *p != '#') {
			return cow_fail(e, -EINVAL, "line %u of %s is no number: %.*s", line, name,
					(int)(end > 60 ? 60 : end), p);
		}
		p += strcspn(p, "\n");
		p += *p == '\n';
	}
	return r;
}

cow_errno prlist_parse(const char *text, const char *name, struct prlist *ret, struct cow_error *e)
{
	size_t blank = strspn(text, " \t\r\n");
	json_error_t why;
	json_t *array;
	cow_errno r;

	*ret = (struct prlist){0};
	if (text[blank] == '[' || text[blank] == '{') {
		array = json_loads(text, 0, &why);
		r = array ? prlist_add_json(ret, array, name, e)
			  : cow_fail(e, -EINVAL, "%s is no JSON: line %d: %s", name, why.line,
				     why.text);
		json_decref(array);
	} else {
		r = add_lines(ret, text, name, e);
		/* What a command leaves behind that failed before it could write anything. */
		if (r == 0 && ret->n == 0) {
			cow_fail(e, -EINVAL, "%s names no pull request", name);
			r = cow_hint(e, -EINVAL, "If none is open, say so: []");
		}
	}
	if (r < 0)
		prlist_release(ret);
	else
		prlist_sort(ret);
	return r;
}
