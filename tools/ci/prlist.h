// SPDX-License-Identifier: Apache-2.0
/* prlist: the numbers of the pull requests that are open.
 *
 * Databases are deleted by what is *not* in this list, so it is whole or it is an error: a word
 * that is no number, an empty file, a page that did not come, an answer in another shape. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/error.h"

struct prlist {
	size_t n;
	uint64_t *numbers; /* ascending; free with prlist_release */
};

/* From text: one number a line ('#' begins a comment), or a JSON array of numbers or of objects
 * with "number" (what `gh pr list --json number` and GitHub's API print) or "iid" (GitLab's).
 * `name` is for messages. An empty list has to be said: []. -EINVAL with the reason. */
cow_errno prlist_parse(const char *text, const char *name, struct prlist *ret, struct cow_error *e);

/* Of a repository "OWNER/NAME" on GitHub, with curl. GITHUB_API_URL (default
 * https://api.github.com) says where; GH_TOKEN or GITHUB_TOKEN is the token, and is seen by nobody
 * else. -EINVAL no such name or an unexpected answer, -EACCES no or a refused token, -ENOENT no
 * such repository, -ECONNREFUSED not reached. (github.c) */
cow_errno prlist_github(const char *repository, struct prlist *ret, struct cow_error *e);

bool prlist_has(const struct prlist *l, uint64_t number);
bool prlist_equal(const struct prlist *a, const struct prlist *b);
void prlist_release(struct prlist *l);

/* The numbers of one such JSON array, added. -EINVAL. */
cow_errno prlist_add_json(struct prlist *l, const json_t *array, const char *name,
			  struct cow_error *e);
/* Order them and drop what is there twice. */
void prlist_sort(struct prlist *l);
