// SPDX-License-Identifier: Apache-2.0
/* What people may type for sizes, durations, times and numbers, and what they may not. */
#include "tools/cli/parse.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

/* --- sizes --- */

static uint64_t size_of(const char *text)
{
	struct cow_error e = COW_ERROR_INIT;
	uint64_t v = 0;

	cr_assert_eq(parse_size(text, &v, &e), 0, "%s: %s", text, e.text);
	return v;
}

/* Units are powers of 1024, in any case, with or without a blank. */
Test(parse_size, knows_units)
{
	cr_assert_eq(size_of("0"), 0);
	cr_assert_eq(size_of("4096"), 4096);
	cr_assert_eq(size_of("1K"), 1024);
	cr_assert_eq(size_of("1 kb"), 1024);
	cr_assert_eq(size_of("64MiB"), 64u << 20);
	cr_assert_eq(size_of("1.5GiB"), 3ull << 29);
	cr_assert_eq(size_of("2 TB"), 2ull << 40);
}

/* Anything else is refused with words, and leaves the result alone. */
Test(parse_size, refuses_what_is_no_size)
{
	static const char *const bad[] = {"",      "x",  "-1",   "1Q",  "1.",  ".5",
					  "1 K x", " 1", "0x10", "inf", "1e3", "99999999999T"};

	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		struct cow_error e = COW_ERROR_INIT;
		uint64_t v = 7;

		cr_assert_eq(parse_size(bad[k], &v, &e), -EINVAL, "'%s'", bad[k]);
		cr_assert_eq(v, 7);
		cr_assert(e.text[0]);
	}
}

/* --- durations --- */

/* A number alone is seconds; units add up. */
Test(parse_duration, knows_units)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"0", 0},
		    {"90", 90000},
		    {"1.5", 1500},
		    {"250ms", 250},
		    {"90s", 90000},
		    {"10m", 600000},
		    {"1h30m", 5400000},
		    {"2h", 7200000},
		    {"7d", 604800000ull},
		    {"1w", 604800000ull}};

	for (size_t k = 0; k < sizeof(good) / sizeof(good[0]); k++) {
		uint64_t ms = 1;

		cr_assert_eq(parse_duration(good[k].text, &ms, NULL), 0, "%s", good[k].text);
		cr_assert_eq(ms, good[k].ms, "%s", good[k].text);
	}
}

Test(parse_duration, refuses_what_is_no_duration)
{
	static const char *const bad[] = {"", "s", "-1s", "1x", "1h30", "1h 30m", "99999999999w"};

	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		uint64_t ms = 7;

		cr_assert_eq(parse_duration(bad[k], &ms, NULL), -EINVAL, "'%s'", bad[k]);
		cr_assert_eq(ms, 7);
	}
}

/* --- times --- */

static int64_t time_of(const char *text)
{
	struct cow_error e = COW_ERROR_INIT;
	int64_t ns = 0;

	cr_assert_eq(parse_time(text, &ns, &e), 0, "%s: %s", text, e.text);
	return ns;
}

/* RFC 3339 in any zone is one moment. */
Test(parse_time, understands_zones_and_fractions)
{
	cr_assert_eq(time_of("1970-01-01T00:00:00Z"), 0);
	cr_assert_eq(time_of("2026-01-31T12:00:00Z"), 1769860800ll * 1000000000);
	cr_assert_eq(time_of("2026-01-31T14:00:00+02:00"), time_of("2026-01-31T12:00:00Z"));
	cr_assert_eq(time_of("2026-01-31t07:30:00-04:30"), time_of("2026-01-31T12:00:00Z"));
	cr_assert_eq(time_of("2026-01-31 14:00:00+02"), time_of("2026-01-31T12:00:00Z"));
	cr_assert_eq(time_of("1970-01-01T00:00:01.5Z"), 1500000000);
	cr_assert_eq(time_of("1970-01-01T00:00:00.123456789Z"), 123456789);
	cr_assert_eq(time_of("2024-02-29 00:00:00Z"), 1709164800ll * 1000000000);
}

Test(parse_time, refuses_what_is_no_time)
{
	static const char *const bad[] = {"",
					  "now",
					  "2026-01-31",
					  "2026-01-31T12:00:00",
					  "2026-13-01T00:00:00Z",
					  "2026-02-30T00:00:00Z",
					  "2025-02-29T00:00:00Z",
					  "2026-01-01T24:00:00Z",
					  "2026-01-01T00:00:00.Z",
					  "2026-01-01T00:00:00Zx",
					  "2026-01-01T00:00:00+2:00",
					  "2026-01-01T00:00:00+02:",
					  "26-01-01T00:00:00Z"};

	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		int64_t ns = 7;

		cr_assert_eq(parse_time(bad[k], &ns, NULL), -EINVAL, "'%s'", bad[k]);
		cr_assert_eq(ns, 7);
	}
}

/* What we print we can read, to the microsecond. */
Test(parse_time, reads_what_it_prints)
{
	char buf[PARSE_TIME_SIZE];

	parse_time_format(1769860800123456789ll, buf, sizeof(buf));
	cr_assert_str_eq(buf, "2026-01-31T12:00:00.123456Z");
	cr_assert_eq(time_of(buf), 1769860800123456000ll);
}

/* --- numbers and words --- */

Test(parse_number, stays_in_its_bounds)
{
	uint64_t v = 0;

	cr_assert_eq(parse_number("12", 1, 12, &v, NULL), 0);
	cr_assert_eq(v, 12);
	cr_assert_eq(parse_number("13", 1, 12, &v, NULL), -EINVAL);
	cr_assert_eq(parse_number("0", 1, 12, &v, NULL), -EINVAL);
	cr_assert_eq(parse_number("-1", 0, 12, &v, NULL), -EINVAL);
	cr_assert_eq(parse_number("1x", 0, 12, &v, NULL), -EINVAL);
	cr_assert_eq(parse_number("", 0, 12, &v, NULL), -EINVAL);
	cr_assert_eq(parse_number("99999999999999999999", 0, UINT64_MAX, &v, NULL), -EINVAL);
}

Test(parse_distance, counts_edits)
{
	cr_assert_eq(parse_distance("branch", "branch"), 0);
	cr_assert_eq(parse_distance("brnch", "branch"), 1);
	cr_assert_eq(parse_distance("lst", "list"), 1);
	cr_assert_eq(parse_distance("", "abc"), 3);
	cr_assert_eq(parse_distance("kitten", "sitting"), 3);
}
