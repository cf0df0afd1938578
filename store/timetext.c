// SPDX-License-Identifier: Apache-2.0
#include "store/timetext.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000ll

/* Exactly `n` digits in [low, high]; moves *p. */
static bool take_digits(const char **p, int n, int low, int high, int *ret)
{
	int v = 0;

	for (int k = 0; k < n; k++, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return false;
		v = v * 10 + (**p - '0');
	}
	*ret = v;
	return v >= low && v <= high;
}

static bool take_char(const char **p, const char *set)
{
	if (!**p || !strchr(set, **p))
		return false;
	(*p)++;
	return true;
}

static bool take_fraction(const char **p, int64_t *ret_ns)
{
	int64_t ns = 0, scale = NS_PER_S;

	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++) {
		scale /= 10;
		ns += (**p - '0') * scale; /* beyond nanoseconds scale is 0 */
	}
	*ret_ns = ns;
	return true;
}

/* "Z", "+hh:mm", or as postgres prints it, "+hh"; seconds east of UTC. */
static bool take_zone(const char **p, int *ret)
{
	int h, m = 0, sign;

	*ret = 0;
	if (take_char(p, "Zz"))
		return true;
	sign = **p == '-' ? -1 : 1;
	if (!take_char(p, "+-") || !take_digits(p, 2, 0, 23, &h))
		return false;
	if (**p && (!take_char(p, ":") || !take_digits(p, 2, 0, 59, &m)))
		return false;
	*ret = sign * (h * 3600 + m * 60);
	return true;
}

bool cow_time_parse(const char *text, int64_t *ret_ns)
{
	const char *p = text;
	struct tm tm = {0}, back;
	int year, month, zone;
	int64_t ns = 0;
	time_t t;

	if (!take_digits(&p, 4, 1970, 2261, &year) || !take_char(&p, "-") ||
	    !take_digits(&p, 2, 1, 12, &month) || !take_char(&p, "-") ||
	    !take_digits(&p, 2, 1, 31, &tm.tm_mday) || !take_char(&p, "Tt ") ||
	    !take_digits(&p, 2, 0, 23, &tm.tm_hour) || !take_char(&p, ":") ||
	    !take_digits(&p, 2, 0, 59, &tm.tm_min) || !take_char(&p, ":") ||
	    !take_digits(&p, 2, 0, 60, &tm.tm_sec))
		return false;
	if (take_char(&p, ".") && !take_fraction(&p, &ns))
		return false;
	if (!take_zone(&p, &zone) || *p)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	back = tm;
	t = timegm(&back);
	if (back.tm_mon != tm.tm_mon) /* the 31st of a shorter month */
		return false;
	*ret_ns = (t - zone) * NS_PER_S + ns;
	return true;
}
