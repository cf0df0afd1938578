// SPDX-License-Identifier: Apache-2.0
/* test_model: random sequences of everything the store can do, against plain memory.
 *
 * COWFS_MODEL_SEED=N       begin with this seed (else a new one each run; it is printed)
 * COWFS_MODEL_SECONDS=N    stop after this time (default 35; with COWFS_LONG 1,200)
 * COWFS_MODEL_STORES=N     stop after this many stores (1 = exactly the one a failure names)
 * COWFS_MODEL_TRACE=1      print every step */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "store/upkeep.h"
#include "tests/model/model_world.h"

enum { SEQUENCES_A_STORE = 25, STEPS_A_SEQUENCE = 30 };

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void print_fault(const struct cow_fault *f, void *arg)
{
	world_note(arg, "fault: %s/%s lineage %llu epoch %llu inode %llu block %lld: %s", f->branch,
		   f->path, (unsigned long long)f->lineage, (unsigned long long)f->epoch,
		   (unsigned long long)f->ino, (long long)f->block, f->what);
}

static void check_store(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_gc_result g = {0};
	struct cow_verify_result v = {0};
	int r = cow_gc_run(w->t.s, &g, &e);

	WORLD_CHECK(w, r == 0, "gc: %d %s", r, e.text);
	r = cow_verify(w->t.s, NULL, 0, false, print_fault, NULL, w, &v, &e);
	WORLD_CHECK(w, r == 0, "verify: %d %s", r, e.text);
	WORLD_CHECK(w, v.faults == 0 && v.leaked_bytes == 0, "verify: %llu faults, %llu leaked",
		    (unsigned long long)v.faults, (unsigned long long)v.leaked_bytes);
}

static void run_sequence(struct world *w)
{
	world_make_base(w);
	for (int k = 0; k < STEPS_A_SEQUENCE; k++) {
		if (world_random(w, 4) == 0)
			world_branch_step(w);
		else
			world_file_step(w);
	}
	world_compare(w);
	world_close_handles(w, -1);
	check_store(w);
	/* After gc: what is kept must still be whole. */
	for (int k = 0; k < DELETED; k++)
		world_undelete(w, k);
	world_compare(w);
}

/* All branches go; nothing is left of them on the host. */
static void clear(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	int r;

	for (int k = 0; k < BRANCHES; k++) {
		if (!w->b[k].name[0])
			continue;
		world_note(w, "delete branch %s", w->b[k].name);
		r = cow_branch_delete(w->t.s, w->b[k].name, &e);
		WORLD_CHECK(w, r == 0, "delete %s: %d %s", w->b[k].name, r, e.text);
		world_drop_live(w, k);
		model_free(w->b[k].m);
		w->b[k] = (struct world_branch){.m = NULL};
	}
	for (int k = 0; k < DELETED; k++)
		world_forget_deleted(w, k);
	for (int k = 0; k < SNAPSHOTS; k++) {
		model_free(w->s[k].m);
		w->s[k] = (struct world_snapshot){.m = NULL};
	}
	check_store(w);
	WORLD_CHECK(w, host_bytes(&w->t) == 0, "%llu bytes left when every branch is deleted",
		    (unsigned long long)host_bytes(&w->t));
}

Test(model, random_sequences, .timeout = 1500)
{
	uint64_t seed = 0, seconds = getenv("COWFS_LONG") && *getenv("COWFS_LONG") ? 1200 : 35;
	uint64_t stores = number("COWFS_MODEL_STORES", UINT64_MAX), sequences = 0, steps = 0;
	time_t end;

	cr_assert_eq(getrandom(&seed, 4, 0), 4);
	seed = number("COWFS_MODEL_SEED", seed);
	seconds = number("COWFS_MODEL_SECONDS", seconds);
	end = time(NULL) + (time_t)seconds;
	/* What is durable is another test's business: memory makes it several times as many. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	fprintf(stderr, "model: first seed %llu\n", (unsigned long long)seed);
	for (uint64_t k = 0; k < stores && (k == 0 || time(NULL) < end); k++) {
		struct world w;

		world_make(&w, seed + k);
		for (int n = 0; n < SEQUENCES_A_STORE; n++) {
			run_sequence(&w);
			clear(&w);
		}
		sequences += SEQUENCES_A_STORE;
		steps += w.steps;
		world_end(&w);
	}
	fprintf(stderr, "model: %llu sequences, %llu steps\n", (unsigned long long)sequences,
		(unsigned long long)steps);
}
