// SPDX-License-Identifier: Apache-2.0
/* pointer: the image becomes the one that new branches are made from.
 *
 * 1. The build branch gets the name of an image and is protected; nobody has seen it before.
 * 2. The pointer gets a new lineage over it (branch.reset), in one batch of the store: before it
 * shows the old image, after it the new one. The first time it is made.
 * 3. Images that are older than the newest `keep` go, with their reports. What branches still show
 * of them stays with those branches. A crash between the steps leaves an image without a pointer,
 * which is an older image at the next publish. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/cleanup.h"
#include "tools/cli/parse.h"
#include "tools/golden/publish_parts.h"
#include "tools/golden/report.h"
#include "tools/golden/server.h"
#include "tools/serve/client.h"

#define BUSY_STEPS 50 /* of 100 ms: the kernel closes files of a server a moment later */

static cow_errno ask(struct golden_image *g, const char *verb, json_t *args, json_t **ret,
		     struct cow_error *e)
{
	cow_errno r = command_ask(g->run->call, verb, args, ret);

	if (r < 0)
		*e = g->run->call->error;
	return r;
}

/* Again while files are open. */
static cow_errno ask_quiet(struct golden_image *g, const char *verb, json_t *args,
			   struct cow_error *e)
{
	cow_errno r = -EBUSY;

	for (int k = 0; r == -EBUSY && k < BUSY_STEPS; k++) {
		if (k)
			nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
		r = ask(g, verb, json_incref(args), NULL, e);
	}
	json_decref(args);
	return r;
}

static cow_errno name_image(struct golden_image *g, const char *image, struct cow_error *e)
{
	cow_errno r = ask_quiet(
	    g, "branch.rename",
	    json_pack("{s:s,s:s,s:b}", "from", g->server.branch.name, "to", image, "private", 1),
	    e);

	if (r < 0)
		return r;
	snprintf(g->server.branch.name, sizeof(g->server.branch.name), "%s", image);
	/* The port was that of the server that filled it. */
	return ask(g, "branch.settings",
		   json_pack("{s:s,s:{s:n,s:n,s:b,s:s}}", "name", image, "set", "private", "port",
			     "protected", 1, "golden_image", g->run->id),
		   NULL, e);
}

static bool exists(struct golden_image *g, const char *name)
{
	struct cow_error none = COW_ERROR_INIT;

	return ask(g, "branch.get", json_pack("{s:s}", "name", name), NULL, &none) == 0;
}

static cow_errno move_pointer(struct golden_image *g, const char *image, struct cow_error *e)
{
	const char *name = g->run->conf->name;
	cow_errno r;

	if (!exists(g, name))
		return ask(g, "branch.create",
			   json_pack("{s:s,s:s,s:{}}", "name", name, "parent", image, "settings"),
			   NULL, e);
	r = serve_make_way(g->run->store, name, true, "the golden image moved", e);
	if (r == 0)
		r = ask(g, "branch.reset",
			json_pack("{s:s,s:s,s:b}", "name", name, "source", image, "force", 1), NULL,
			e);
	return r < 0 ? cow_wrap(e, r, "move %s to the new image", name) : 0;
}

static cow_errno mark_pointer(struct golden_image *g, struct cow_error *e)
{
	char source[PARSE_TIME_SIZE], published[PARSE_TIME_SIZE];
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	parse_time_format((int64_t)t.tv_sec * 1000000000 + t.tv_nsec, published, sizeof(published));
	parse_time_format(g->run->source_ns ? g->run->source_ns : g->run->started_ns, source,
			  sizeof(source));
	json_object_set_new(g->run->report, "published_at", json_string(published));
	return ask(g, "branch.settings",
		   json_pack("{s:s,s:{s:{s:s,s:s,s:s}}}", "name", g->run->conf->name, "set",
			     "golden", "image", g->run->id, "source_at", source, "published_at",
			     published),
		   NULL, e);
}

static int newest_first(const void *a, const void *b)
{
	return strcmp(*(const char *const *)b, *(const char *const *)a);
}

/* Every image, by its id, the newest first. Texts are borrowed from `list`. */
static size_t images_of(const json_t *list, const char *prefix, const char ***ret)
{
	const json_t *branches = json_object_get(list, "branches"), *b;
	size_t n = 0, k;

	*ret = calloc(json_array_size(branches) + 1, sizeof(**ret));
	json_array_foreach (branches, k, b) {
		const char *name = json_string_value(json_object_get(b, "name"));

		if (*ret && name && strncmp(name, prefix, strlen(prefix)) == 0)
			(*ret)[n++] = name;
	}
	if (n)
		qsort(*ret, n, sizeof(**ret), newest_first);
	return n;
}

/* Best effort: an image too many is no fault of the new one. */
static void drop_old(struct golden_image *g)
{
	struct cow_error why = COW_ERROR_INIT;
	char prefix[COW_BRANCH_MAX + 1];
	CLEANUP_FREE const char **images = NULL;
	json_t *list = NULL;
	size_t n;

	snprintf(prefix, sizeof(prefix), "%s-images/", g->run->conf->name);
	if (ask(g, "branch.list", NULL, &list, &why) < 0)
		return;
	n = images_of(list, prefix, &images);
	for (size_t k = COW_MAX(g->run->conf->keep, 1u); k < n; k++) {
		if (ask(g, "branch.delete",
			json_pack("{s:[s],s:b,s:i}", "names", images[k], "force", 1, "keep_ms", 0),
			NULL, &why) < 0) {
			golden_say(g->run, "note: %s stays: %s", images[k], why.text);
			continue;
		}
		report_remove(g->run->store, g->run->conf->name, images[k] + strlen(prefix));
		golden_say(g->run, "deleted %s", images[k]);
	}
	json_decref(list);
}

cow_errno golden_move(struct golden_image *g, struct cow_error *e)
{
	char image[COW_BRANCH_MAX + 1];
	cow_errno r;

	snprintf(image, sizeof(image), "%s-images/%s", g->run->conf->name, g->run->id);
	r = name_image(g, image, e);
	if (r == 0)
		r = move_pointer(g, image, e);
	if (r == 0)
		r = mark_pointer(g, e);
	if (r == 0)
		json_object_set_new(g->run->report, "branch", json_string(image));
	if (r == 0)
		drop_old(g);
	serve_nudge(g->run->store);
	return r;
}
