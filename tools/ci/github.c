// SPDX-License-Identifier: Apache-2.0
/* The open pull requests of a repository, from GitHub's REST API.
 *
 * The list comes in pages, and moves while it is read: a pull request that closes makes all later
 * ones move up, and one of them may slip from an unread page to a read one. A reading in which that
 * happened contains the closed one; the next reading does not. So the list is read until two
 * readings in a row are equal.
 *
 * curl does the talking. The token goes to its standard input: command lines can be read by all. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/ci/prlist.h"
#include "tools/process/process.h"

#define PER_PAGE 100
#define PAGES_MAX 100
#define READINGS_MAX 5

struct github {
	const char *api, *repository, *token;
};

static cow_errno check_name(const char *repository, struct cow_error *e)
{
	const char *slash = strchr(repository, '/');
	bool good = slash && slash != repository && slash[1] && !strchr(slash + 1, '/') &&
		    !strstr(repository, "..");

	for (const char *p = repository; good && *p; p++)
		good = isalnum((unsigned char)*p) || strchr("-_./", *p);
	return good ? 0
		    : cow_fail(e, -EINVAL, "'%s' is no repository: OWNER/NAME is wanted",
			       repository);
}

/* The configuration that curl reads; the token may not end the line it stands on. */
static cow_errno write_config(const struct github *g, int fd, struct cow_error *e)
{
	for (const char *p = g->token; p && *p; p++)
		if (!isgraph((unsigned char)*p) || *p == '"' || *p == '\\')
			return cow_fail(e, -EINVAL, "the token has characters that no token has");
	dprintf(fd, "header = \"Accept: application/vnd.github+json\"\n");
	if (g->token && *g->token)
		dprintf(fd, "header = \"Authorization: Bearer %s\"\n", g->token);
	return lseek(fd, 0, SEEK_SET) == 0 ? 0 : cow_fail(e, -EIO, "cannot write to memory");
}

static cow_errno refused(const struct github *g, const char *code, struct cow_error *e)
{
	if (strcmp(code, "401") == 0 || strcmp(code, "403") == 0) {
		cow_fail(e, -EACCES, "%s refused to list the pull requests of %s (HTTP %s)", g->api,
			 g->repository, code);
		return cow_hint(
		    e, -EACCES,
		    "Set GH_TOKEN to a token that may read them (pull-requests: read).");
	}
	if (strcmp(code, "404") == 0) {
		cow_fail(e, -ENOENT, "%s knows no repository %s", g->api, g->repository);
		return cow_hint(e, -ENOENT, "A private one needs GH_TOKEN.");
	}
	return cow_fail(e, -ECONNREFUSED, "%s answered with HTTP %s", g->api, code);
}

/* The body of one page as JSON; *ret is owned by the caller. */
static cow_errno get_page(const struct github *g, unsigned page, json_t **ret, struct cow_error *e)
{
	CLEANUP_FD int in = process_memory("config"), out = process_memory("answer"),
		       err = process_memory("errors");
	CLEANUP_FREE char *url = NULL, *text = NULL;
	const char *argv[] = {"curl", "--silent",    "--show-error",   "--max-time",
			      "60",   "--proto",     "=http,https",    "--config",
			      "-",    "--write-out", "\n%{http_code}", "--",
			      NULL,   NULL};
	const struct process p = {.argv = argv, .in = in, .out = out, .err = err};
	char said[300], *code;
	int status = 0;
	cow_errno r;

	if (asprintf(&url,
		     "%s/repos/%s/pulls?state=open&sort=created&direction=asc&per_page=%d&page=%u",
		     g->api, g->repository, PER_PAGE, page) < 0)
		return cow_fail(e, -ENOMEM, "out of memory");
	argv[12] = url;
	r = write_config(g, in, e);
	if (r == 0)
		r = process_run(&p, &status, e);
	if (r < 0)
		return r;
	if (status != 0) {
		process_read_end(err, said, sizeof(said));
		return cow_fail(e, -ECONNREFUSED, "%s cannot be reached: %s", g->api, said);
	}
	text = process_read(out, NULL);
	code = text ? strrchr(text, '\n') : NULL;
	if (!code)
		return cow_fail(e, -ENOMEM, "out of memory");
	*code++ = '\0';
	if (strcmp(code, "200") != 0)
		return refused(g, code, e);
	*ret = json_loads(text, 0, NULL);
	return *ret ? 0 : cow_fail(e, -EINVAL, "%s answered with something else than JSON", g->api);
}

/* Until a page is empty: a server may give less than it was asked for. */
static cow_errno read_once(const struct github *g, struct prlist *ret, struct cow_error *e)
{
	cow_errno r = 0;
	size_t got = 1;

	*ret = (struct prlist){0};
	for (unsigned page = 1; r == 0 && got > 0; page++) {
		json_t *array = NULL;

		if (page > PAGES_MAX)
			return cow_fail(e, -EINVAL, "%s has more than %d pull requests",
					g->repository, PAGES_MAX * PER_PAGE);
		r = get_page(g, page, &array, e);
		if (r == 0)
			r = prlist_add_json(ret, array, g->api, e);
		got = json_array_size(array);
		json_decref(array);
	}
	prlist_sort(ret);
	return r;
}

cow_errno prlist_github(const char *repository, struct prlist *ret, struct cow_error *e)
{
	const char *api = getenv("GITHUB_API_URL"), *token = getenv("GH_TOKEN");
	struct github g = {.api = api && *api ? api : "https://api.github.com",
			   .repository = repository,
			   .token = token && *token ? token : getenv("GITHUB_TOKEN")};
	struct prlist before = {0};
	cow_errno r = check_name(repository, e);

	*ret = (struct prlist){0};
	if (r == 0)
		r = read_once(&g, ret, e);
	for (int k = 1; r == 0; k++) {
		if (k == READINGS_MAX) {
			r = cow_fail(e, -EAGAIN,
				     "the list of %s changes faster than it can be read",
				     repository);
			break;
		}
		prlist_release(&before);
		before = *ret;
		r = read_once(&g, ret, e);
		if (r == 0 && prlist_equal(&before, ret))
			break;
	}
	prlist_release(&before);
	if (r < 0)
		prlist_release(ret);
	return r;
}
