// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "store/timetext.h"

#define NS_PER_S 1000000000ll

struct unit {
	const char *word;
	double factor;
};

static const struct unit sizes[] = {
    {"", 1},
    {"B", 1},
    {"K", 1024.0},
    {"KB", 1024.0},
    {"KiB", 1024.0},
    {"M", 1048576.0},
    {"MB", 1048576.0},
    {"MiB", 1048576.0},
    {"G", 1073741824.0},
    {"GB", 1073741824.0},
    {"GiB", 1073741824.0},
    {"T", 1099511627776.0},
    {"TB", 1099511627776.0},
    {"TiB", 1099511627776.0},
};

/* In milliseconds. */
static const struct unit durations[] = {
    {"ms", 1},        {"s", 1000.0},     {"m", 60000.0},
    {"h", 3600000.0}, {"d", 86400000.0}, {"w", 604800000.0},
};

/* A decimal number without sign, exponent or "inf"; moves *p behind it. */
static bool take_decimal(const char **p, double *ret)
{
	const char *s = *p;
	double v = 0, scale = 1;

	if (!isdigit((unsigned char)*s))
		return false;
	for (; isdigit((unsigned char)*s); s++)
		v = v * 10 + (*s - '0');
	if (*s == '.') {
		if (!isdigit((unsigned char)s[1]))
			return false;
		for (s++; isdigit((unsigned char)*s); s++)
			v += (*s - '0') * (scale /= 10);
	}
	*p = s;
	*ret = v;
	return true;
}

/* The letters at *p as a unit; moves *p behind them. NULL = unknown. */
static const struct unit *take_unit(const char **p, const struct unit *units, size_t n, bool fold)
{
	size_t len = 0;

	while (isalpha((unsigned char)(*p)[len]))
		len++;
	for (size_t k = 0; k < n; k++) {
		const char *w = units[k].word;

		if (strlen(w) == len &&
		    (fold ? strncasecmp(w, *p, len) : strncmp(w, *p, len)) == 0) {
			*p += len;
			return &units[k];
		}
	}
	return NULL;
}

cow_errno parse_size(const char *text, uint64_t *ret, struct cow_error *e)
{
	const char *p = text;
	const struct unit *u;
	double v;

	if (!take_decimal(&p, &v))
		goto bad;
	while (*p == ' ')
		p++;
	u = take_unit(&p, sizes, sizeof(sizes) / sizeof(sizes[0]), true);
	if (!u || *p)
		goto bad;
	v *= u->factor;
	if (v >= 18446744073709551615.0)
		return cow_fail(e, -EINVAL, "the size '%s' is too large", text);
	*ret = (uint64_t)v;
	return 0;
bad:
	cow_fail(e, -EINVAL, "'%s' is not a size", text);
	return cow_hint(e, -EINVAL, "Write a number with an optional unit, such as 64M or 1.5GiB.");
}

cow_errno parse_duration(const char *text, uint64_t *ret_ms, struct cow_error *e)
{
	const char *p = text;
	double sum = 0, v;

	do {
		const struct unit *u;

		if (!take_decimal(&p, &v))
			goto bad;
		if (!*p && p != text && sum == 0) { /* a bare number */
			sum = v * 1000;
			break;
		}
		u = take_unit(&p, durations, sizeof(durations) / sizeof(durations[0]), false);
		if (!u)
			goto bad;
		sum += v * u->factor;
	} while (*p);
	if (sum >= 9e15)
		return cow_fail(e, -EINVAL, "the duration '%s' is too long", text);
	*ret_ms = (uint64_t)llround(sum);
	return 0;
bad:
	cow_fail(e, -EINVAL, "'%s' is not a duration", text);
	return cow_hint(e, -EINVAL, "Write a number with a unit (ms, s, m, h, d, w), such as 90s.");
}

cow_errno parse_time(const char *text, int64_t *ret_ns, struct cow_error *e)
{
	if (cow_time_parse(text, ret_ns))
		return 0;
	cow_fail(e, -EINVAL, "'%s' is not a time", text);
	return cow_hint(e, -EINVAL, "Write it as RFC 3339, such as 2026-01-31T12:00:00Z.");
}

cow_errno parse_cpus(const char *text, double *ret, struct cow_error *e)
{
	const char *p = text;
	double v;

	if (!take_decimal(&p, &v) || *p || v < 0.01 || v > 1024) {
		cow_fail(e, -EINVAL, "'%s' is no number of processors", text);
		return cow_hint(e, -EINVAL, "Write it like 0.5 or 2; from 0.01 to 1024.");
	}
	*ret = v;
	return 0;
}

cow_errno parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *ret,
		       struct cow_error *e)
{
	char *end = NULL;
	unsigned long long v = 0;

	errno = 0;
	if (isdigit((unsigned char)*text))
		v = strtoull(text, &end, 10);
	if (!end || *end || errno || v < low || v > high)
		return cow_fail(e, -EINVAL, "'%s' is not a number from %llu to %llu", text,
				(unsigned long long)low, (unsigned long long)high);
	*ret = v;
	return 0;
}

void parse_time_format(int64_t ns, char *buf, size_t size)
{
	int64_t rest = (ns % NS_PER_S + NS_PER_S) % NS_PER_S;
	time_t s = (time_t)((ns - rest) / NS_PER_S);
	struct tm tm;
	char day[32];

	gmtime_r(&s, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf, size, "%s.%06dZ", day, (int)(rest / 1000));
}

#define DISTANCE_MAX 32 /* bytes of a word worth comparing */

unsigned parse_distance(const char *a, const char *b)
{
	size_t la = strnlen(a, DISTANCE_MAX), lb = strnlen(b, DISTANCE_MAX);
	unsigned row[DISTANCE_MAX + 1];

	for (size_t k = 0; k <= lb; k++)
		row[k] = (unsigned)k;
	for (size_t i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t k = 1; k <= lb; k++) {
			unsigned best = diagonal + (a[i - 1] != b[k - 1]);

			diagonal = row[k];
			if (row[k] + 1 < best)
				best = row[k] + 1;
			if (row[k - 1] + 1 < best)
				best = row[k - 1] + 1;
			row[k] = best;
		}
	}
	return row[lb];
}
