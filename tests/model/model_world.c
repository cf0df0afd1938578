// SPDX-License-Identifier: Apache-2.0
/* model_world: making, ending, and the small things every step needs. */
#include "tests/model/model_world.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* splitmix64: any seed is a good one. */
uint64_t world_random(struct world *w, uint64_t below)
{
	uint64_t z = w->rng += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) % below;
}

void world_note(struct world *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->trace[w->n_trace++ % TRACE], sizeof(*w->trace), fmt, ap);
	va_end(ap);
	w->steps++;
	if (getenv("COWFS_MODEL_TRACE"))
		fprintf(stderr, "%s\n", w->trace[(w->n_trace - 1) % TRACE]);
}

_Noreturn void world_die(struct world *w, const char *fmt, ...)
{
	char text[1000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "the last steps:\n");
	for (unsigned k = w->n_trace > TRACE ? w->n_trace - TRACE : 0; k < w->n_trace; k++)
		fprintf(stderr, "  %s\n", w->trace[k % TRACE]);
	fprintf(stderr, "%s\nagain with: COWFS_MODEL_SEED=%llu COWFS_MODEL_STORES=1\n", text,
		(unsigned long long)w->seed);
	/* Nothing may take hold of the store again: it is kept for a look. */
	fprintf(stderr, "the store is %s\n", w->t.path);
	cr_assert_fail("%s", text);
	abort();
}

int world_pick_branch(struct world *w)
{
	int start = (int)world_random(w, BRANCHES);

	for (int k = 0; k < BRANCHES; k++)
		if (w->b[(start + k) % BRANCHES].name[0])
			return (start + k) % BRANCHES;
	return -1;
}

int world_free_branch(struct world *w)
{
	for (int k = 0; k < BRANCHES; k++)
		if (!w->b[k].name[0])
			return k;
	return -1;
}

bool world_is_open(struct world *w, int branch)
{
	for (int k = 0; k < HANDLES; k++)
		if (w->h[k].i && w->h[k].branch == branch)
			return true;
	return false;
}

void world_close_handles(struct world *w, int branch)
{
	for (int k = 0; k < HANDLES; k++) {
		if (!w->h[k].i || (branch >= 0 && w->h[k].branch != branch))
			continue;
		cow_inode_close(w->h[k].i, true);
		cow_inode_put(w->h[k].i);
		model_put(w->h[k].n);
		w->h[k].i = NULL;
	}
}

struct cow_live *world_live(struct world *w, int branch)
{
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r;

	if (!w->b[branch].live) {
		r = cow_live_get(w->t.s, w->b[branch].name, &w->b[branch].live, &e);
		WORLD_CHECK(w, r == 0, "live %s: %d %s", w->b[branch].name, r, e.text);
	}
	return w->b[branch].live;
}

void world_drop_live(struct world *w, int branch)
{
	if (w->b[branch].live)
		cow_live_put(w->b[branch].live);
	w->b[branch].live = NULL;
}

void world_make_base(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	int slot = world_free_branch(w);
	struct world_branch *b = &w->b[slot];
	struct cow_branch_create how = {
	    .name = b->name, .empty = true, .root_mode = S_IFDIR | 0700};
	cow_errno r;

	snprintf(b->name, sizeof(b->name), "base%u", w->counter++);
	world_note(w, "branch %s --empty, the default", b->name);
	r = cow_branch_create(w->t.s, &how, &e);
	WORLD_CHECK(w, r == 0, "create %s: %d %s", b->name, r, e.text);
	r = cow_branch_set_default(w->t.s, b->name, &e);
	WORLD_CHECK(w, r == 0, "set default %s: %d %s", b->name, r, e.text);
	b->m = model_new(S_IFDIR | 0700);
}

void world_make(struct world *w, uint64_t seed)
{
	*w = (struct world){.seed = seed, .rng = seed};
	w->trace = calloc(TRACE, sizeof(*w->trace));
	tmpstore_make(&w->t, false);
}

void world_end(struct world *w)
{
	world_close_handles(w, -1);
	for (int k = 0; k < BRANCHES; k++) {
		world_drop_live(w, k);
		model_free(w->b[k].m);
	}
	for (int k = 0; k < SNAPSHOTS; k++)
		model_free(w->s[k].m);
	free(w->trace);
	tmpstore_release(&w->t);
}
