// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/schedule.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "tools/cli/parse.h"

#define NS INT64_C(1000000000)

static const char *const days[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static cow_errno wrong(const char *text, struct cow_error *e)
{
	cow_fail(e, -EINVAL, "'%s' is no time to refresh at", text);
	return cow_hint(e, -EINVAL,
			"Write hourly, every 6h, daily 03:00, or weekly sun 04:00 (local time).");
}

/* "03:00", alone. */
static bool read_clock(const char *text, int *ret_hour, int *ret_minute)
{
	int used = 0;

	return sscanf(text, "%2d:%2d%n", ret_hour, ret_minute, &used) == 2 && text[used] == '\0' &&
	       *ret_hour >= 0 && *ret_hour < 24 && *ret_minute >= 0 && *ret_minute < 60;
}

/* The next one of that clock, on that day of the week (-1 = any). mktime() knows about summer time:
 * a time that does not exist on a day is an hour later. */
static int64_t next_clock(int64_t after_ns, int weekday, int hour, int minute)
{
	time_t after = (time_t)(after_ns / NS);
	struct tm tm;

	for (int ahead = 0; ahead < 9; ahead++) {
		time_t t;

		localtime_r(&after, &tm);
		tm.tm_mday += ahead;
		tm.tm_hour = hour;
		tm.tm_min = minute;
		tm.tm_sec = 0;
		tm.tm_isdst = -1;
		t = mktime(&tm);
		if (t > after && (weekday < 0 || tm.tm_wday == weekday))
			return (int64_t)t * NS;
	}
	return INT64_MAX;
}

cow_errno schedule_next(const char *text, int64_t after_ns, int64_t *ret_ns, struct cow_error *e)
{
	int hour, minute;
	uint64_t ms;

	if (strcasecmp(text, "hourly") == 0) {
		*ret_ns = (after_ns / (3600 * NS) + 1) * 3600 * NS;
		return 0;
	}
	if (strncasecmp(text, "every ", 6) == 0) {
		if (parse_duration(text + 6, &ms, NULL) < 0 || ms < 1000 || ms > 366 * 86400000ull)
			return wrong(text, e);
		*ret_ns = after_ns + (int64_t)ms * 1000000;
		return 0;
	}
	if (strncasecmp(text, "daily ", 6) == 0 && read_clock(text + 6, &hour, &minute)) {
		*ret_ns = next_clock(after_ns, -1, hour, minute);
		return 0;
	}
	for (int d = 0; d < 7 && strncasecmp(text, "weekly ", 7) == 0; d++) {
		if (strncasecmp(text + 7, days[d], 3) != 0 || text[10] != ' ' ||
		    !read_clock(text + 11, &hour, &minute))
			continue;
		*ret_ns = next_clock(after_ns, d, hour, minute);
		return 0;
	}
	return wrong(text, e);
}
