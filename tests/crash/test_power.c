// SPDX-License-Identifier: Apache-2.0
/* power: what is left of a store after the power went, at any moment (DESIGN 4.4, rules 1 to 3, 6).
 *
 * A plan of operations runs in a process of its own under the recorder; then the store directory is
 * rebuilt as it may look at a cut, in two models of the host file system and five ways to lose what
 * was not synced (tests/lib/power_replay.h), opened, and compared with what the plan allows: every
 * fsync, O_DSYNC write, snapshot and branch change that had answered is there, names are as after
 * some operation in order, snapshots are exact, `verify` finds nothing, and life goes on.
 *
 *   COWFS_LONG=1             more of everything
 *   COWFS_POWER_SEED=17      the first of the random plans
 *   COWFS_POWER_ONE_OF=20 COWFS_POWER_FIRST=3
 *                            of the exhaustive orders each twentieth, from the third
 *   COWFS_POWER_ONLY='random 17 60' COWFS_POWER_CUT=0:311:1:3:99   one cut again
 *   COWFS_POWER_MODEL=ext4   leave the strict model out
 *   COWFS_POWER_KEEP=1       keep the directories */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/power_lab.h"

int main(int argc, char **argv)
{
	struct criterion_test_set *tests;
	int rc = 0;

	if (power_lab_work(&rc))
		return rc;
	tests = criterion_initialize();
	if (criterion_handle_args(argc, argv, true))
		rc = !criterion_run_all_tests(tests);
	criterion_finalize(tests);
	return rc;
}

static unsigned long number(const char *name, unsigned long normal, unsigned long lengthy)
{
	const char *text = getenv(name), *longer = getenv("COWFS_LONG");

	if (text && *text)
		return strtoul(text, NULL, 10);
	return longer && *longer ? lengthy : normal;
}

static void need_recorder(void)
{
	const char *sanitized = getenv("COWFS_SANITIZED");

	if (sanitized && *sanitized)
		cr_skip_test("a sanitizer has to be the first library, and the recorder too");
	if (!power_lab_ready())
		cr_skip_test("no libpower_record.so beside the test");
}

static bool only_ext4(void)
{
	const char *model = getenv("COWFS_POWER_MODEL");

	return model && strcmp(model, "ext4") == 0;
}

static void random_cuts(struct power_lab *lab, uint64_t seed, size_t cuts, unsigned deep_of_100)
{
	size_t n = power_log_count(lab->log);

	for (size_t k = 0; k < cuts && lab->failures < 2; k++) {
		struct power_cut c = {.events = 1 + power_random(&seed) % n,
				      .model = power_random(&seed) % 2 == 0 || only_ext4()
						   ? POWER_EXT4
						   : POWER_STRICT,
				      .loss = power_random(&seed) % POWER_LOSSES,
				      .seed = power_random(&seed) % 1000000};

		power_lab_cut(lab, &c, power_random(&seed) % 100 < deep_of_100);
	}
}

static void random_plans(bool kv, unsigned long plans, unsigned long cuts, size_t ops)
{
	uint64_t seed =
	    number("COWFS_POWER_SEED", (unsigned long)time(NULL), (unsigned long)time(NULL));
	size_t all = 0, failures = 0;

	need_recorder();
	fprintf(stderr, "COWFS_POWER_SEED=%llu\n", (unsigned long long)seed);
	for (unsigned long k = 0; k < plans && failures < 4; k++) {
		struct power_lab lab;
		char what[64];

		snprintf(what, sizeof(what), "random %llu %zu", (unsigned long long)(seed + k),
			 ops);
		cr_expect(power_lab_record(&lab, what, kv), "'%s' was not recorded", what);
		if (lab.acked)
			random_cuts(&lab, seed + k, cuts, 40);
		all += lab.cuts;
		failures += lab.failures + !lab.acked;
		power_lab_release(&lab);
	}
	fprintf(stderr, "%zu cuts of %lu plans\n", all, plans);
	cr_assert_eq(failures, 0, "%zu of %zu cuts left a wrong store", failures, all);
}

TestSuite(power, .timeout = 3600);

Test(power, random_plans_over_rocksdb)
{
	random_plans(false, number("COWFS_POWER_PLANS", 12, 200),
		     number("COWFS_POWER_CUTS", 50, 200), 60);
}

Test(power, random_plans_over_a_map_in_memory)
{
	random_plans(true, number("COWFS_POWER_PLANS", 30, 600),
		     number("COWFS_POWER_CUTS", 60, 300), 60);
}

/* The power goes, and again while the store is opened. */
Test(power, second_cut_during_recovery)
{
	uint64_t seed =
	    number("COWFS_POWER_SEED", (unsigned long)time(NULL), (unsigned long)time(NULL));
	unsigned long plans = number("COWFS_POWER_PLANS", 4, 60);
	size_t all = 0, failures = 0;

	need_recorder();
	fprintf(stderr, "COWFS_POWER_SEED=%llu\n", (unsigned long long)seed);
	for (unsigned long k = 0; k < plans && failures < 4; k++) {
		struct power_lab lab;
		char what[64];

		snprintf(what, sizeof(what), "random %llu 60", (unsigned long long)(seed + k));
		cr_assert(power_lab_record(&lab, what, false));
		for (unsigned n = 0; n < 6 && lab.failures < 2; n++) {
			struct power_cut c = {.events = 1 + power_random(&seed) %
								power_log_count(lab.log),
					      .model = only_ext4() ? POWER_EXT4 : POWER_STRICT,
					      .loss = power_random(&seed) % POWER_LOSSES,
					      .seed = power_random(&seed) % 1000000};

			power_lab_cut_recovery(&lab, &c, 8);
		}
		all += lab.cuts;
		failures += lab.failures;
		power_lab_release(&lab);
	}
	fprintf(stderr, "%zu cuts of recovery of %lu plans\n", all, plans);
	cr_assert_eq(failures, 0, "%zu of %zu cuts left a wrong store", failures, all);
}

/* --- small cases, all of them --- */

static void every_cut(struct power_lab *lab)
{
	size_t n = power_log_count(lab->log);

	for (size_t k = 1; k <= n && lab->failures < 2; k++) {
		struct power_cut c = {.events = k};

		/* The prologue is the same in all of them; a mark alone changes nothing on the
		 * disk. */
		if (lab->acked[k] < 4 || lab->acked[k] == lab->acked[k - 1])
			if (k < n &&
			    (lab->acked[k] < 4 || power_log_event(lab->log, k)->op == POWER_MARK))
				continue;
		for (int model = 0; model < 2; model++) {
			c.model = (enum power_model)model;
			c.loss = POWER_KEEP_NONE;
			power_lab_cut(lab, &c, true);
			c.loss = k % 2 ? POWER_KEEP_PAGES : POWER_KEEP_FILES;
			c.seed = k;
			power_lab_cut(lab, &c, false);
		}
		c.loss = POWER_KEEP_ALL;
		power_lab_cut(lab, &c, true);
	}
}

static void one_word(const char *letters, size_t *cuts, size_t *failures)
{
	struct power_lab lab;
	char what[32];

	snprintf(what, sizeof(what), "letters %s", letters);
	if (power_lab_record(&lab, what, true))
		every_cut(&lab);
	else
		++*failures;
	*cuts += lab.cuts;
	*failures += lab.failures;
	power_lab_release(&lab);
}

/* Every order of create, write, fsync, rename, truncate, snapshot and delete. */
static void every_word(unsigned length, unsigned one_of)
{
	static const char letters[] = "cwsrtpd";
	size_t cuts = 0, failures = 0, words = 0, all = 1;

	need_recorder();
	for (unsigned k = 0; k < length; k++)
		all *= 7;
	for (size_t n = number("COWFS_POWER_FIRST", (size_t)time(NULL), 0) % one_of;
	     n < all && failures < 4; n += one_of, words++) {
		char word[8] = "";
		size_t rest = n;

		for (unsigned k = 0; k < length; k++, rest /= 7)
			word[k] = letters[rest % 7];
		one_word(word, &cuts, &failures);
	}
	fprintf(stderr, "%zu cuts of %zu words of %u operations\n", cuts, words, length);
	cr_assert_eq(failures, 0, "%zu of %zu cuts left a wrong store", failures, cuts);
}

Test(power, every_order_of_two_operations)
{
	every_word(2, 1);
}

Test(power, every_order_of_three_operations)
{
	every_word(3, (unsigned)number("COWFS_POWER_ONE_OF", 8, 1));
}

Test(power, every_order_of_four_operations)
{
	every_word(4, (unsigned)number("COWFS_POWER_ONE_OF", 80, 1));
}

/* One cut of one plan, as a failure printed it; without one a cut that is known to be good, so that
 * the way to do one again is not found broken on the day it is needed. */
Test(power, one_cut_again)
{
	const char *what = getenv("COWFS_POWER_ONLY"), *cut = getenv("COWFS_POWER_CUT");
	bool given = what && cut;
	struct power_lab lab;
	struct power_cut c = {0};
	int kv = 0, model = 0, loss = 0;
	unsigned long long seed = 0;

	need_recorder();
	if (!given) {
		what = "random 17 60";
		cut = "0:100:1:3:99";
	}
	cr_assert_eq(sscanf(cut, "%d:%zu:%d:%d:%llu", &kv, &c.events, &model, &loss, &seed), 5,
		     "COWFS_POWER_CUT is as a failure printed it, not '%s'", cut);
	c.model = (enum power_model)model;
	c.loss = (enum power_loss)loss;
	c.seed = seed;
	cr_assert(power_lab_record(&lab, what, kv));
	if (given)
		power_log_print(lab.log, c.events > 150 ? c.events - 150 : 0,
				c.events > 150 ? 150 : c.events);
	cr_expect(power_lab_cut(&lab, &c, true));
	power_lab_release(&lab);
}
