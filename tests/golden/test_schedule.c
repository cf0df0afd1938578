// SPDX-License-Identifier: Apache-2.0
/* When a refresh is due. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "tools/golden/schedule.h"

#define NS INT64_C(1000000000)

static int64_t at(int year, int month, int day, int hour, int minute)
{
	struct tm tm = {.tm_year = year - 1900,
			.tm_mon = month - 1,
			.tm_mday = day,
			.tm_hour = hour,
			.tm_min = minute,
			.tm_isdst = -1};

	return (int64_t)mktime(&tm) * NS;
}

static void in_berlin(void)
{
	setenv("TZ", "Europe/Berlin", 1);
	tzset();
}

static int64_t next(const char *text, int64_t after)
{
	int64_t ret = 0;

	cr_assert_eq(schedule_next(text, after, &ret, NULL), 0, "%s", text);
	return ret;
}

Test(schedule, daily_is_today_or_tomorrow, .init = in_berlin)
{
	cr_assert_eq(next("daily 03:00", at(2026, 5, 4, 2, 59)), at(2026, 5, 4, 3, 0));
	cr_assert_eq(next("daily 03:00", at(2026, 5, 4, 3, 0)), at(2026, 5, 5, 3, 0));
	cr_assert_eq(next("daily 23:30", at(2026, 12, 31, 23, 45)), at(2027, 1, 1, 23, 30));
}

/* 2026-05-03 is a Sunday. */
Test(schedule, weekly_is_that_day, .init = in_berlin)
{
	cr_assert_eq(next("weekly sun 04:00", at(2026, 5, 4, 0, 0)), at(2026, 5, 10, 4, 0));
	cr_assert_eq(next("Weekly Sun 04:00", at(2026, 5, 3, 3, 0)), at(2026, 5, 3, 4, 0));
	cr_assert_eq(next("weekly sun 04:00", at(2026, 5, 3, 4, 0)), at(2026, 5, 10, 4, 0));
}

/* On 29 March 2026 the clock goes from 02:00 to 03:00. */
Test(schedule, summer_time_loses_no_refresh, .init = in_berlin)
{
	int64_t t = next("daily 02:30", at(2026, 3, 28, 12, 0));

	cr_assert_eq(t, at(2026, 3, 29, 3, 30));
	cr_assert_eq(next("daily 02:30", t), at(2026, 3, 30, 2, 30));
}

Test(schedule, every_counts_from_the_last)
{
	cr_assert_eq(next("every 6h", 100 * NS), (100 + 6 * 3600) * NS);
	cr_assert_eq(next("hourly", 5000 * NS), 7200 * NS);
	cr_assert_eq(next("hourly", 7200 * NS), 10800 * NS);
}

Test(schedule, what_is_no_time_is_refused)
{
	static const char *const bad[] = {"",
					  "daily",
					  "daily 24:00",
					  "daily 3",
					  "daily 03:60",
					  "daily 03:00x",
					  "weekly 03:00",
					  "weekly xyz 03:00",
					  "every",
					  "every 0s",
					  "every day",
					  "monthly"};
	int64_t ret = 7;

	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		struct cow_error e = COW_ERROR_INIT;

		cr_assert_lt(schedule_next(bad[k], 0, &ret, &e), 0, "%s", bad[k]);
		cr_assert(e.hint[0]);
	}
	cr_assert_eq(ret, 7);
}
