// SPDX-License-Identifier: Apache-2.0
#include "store/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Atomic int max_level = COW_LOG_INFO;

static const struct {
	const char *word;
	enum cow_log_level level;
} levels[] = {
    {"error", COW_LOG_ERROR},
    {"warn", COW_LOG_WARN},
    {"info", COW_LOG_INFO},
    {"debug", COW_LOG_DEBUG},
};

void cow_log_set_level(enum cow_log_level level)
{
	max_level = (int)level;
}

int cow_log_parse_level(const char *word, enum cow_log_level *ret)
{
	for (size_t k = 0; k < sizeof(levels) / sizeof(levels[0]); k++) {
		if (strcmp(word, levels[k].word) == 0) {
			*ret = levels[k].level;
			return 0;
		}
	}
	return -EINVAL;
}

static const char *word_of(enum cow_log_level level)
{
	for (size_t k = 0; k < sizeof(levels) / sizeof(levels[0]); k++)
		if (levels[k].level == level)
			return levels[k].word;
	return "?";
}

/* The journal stamps lines itself; everybody else gets a UTC time and the word for the level. */
static int put_prefix(char *line, size_t size, enum cow_log_level level)
{
	struct timespec now;
	struct tm tm;
	char stamp[32];

	if (getenv("JOURNAL_STREAM"))
		return snprintf(line, size, "<%d>cowfs: ", (int)level);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	return snprintf(line, size, "%s.%03ldZ cowfs %s: ", stamp, now.tv_nsec / 1000000,
			word_of(level));
}

void cow_log(enum cow_log_level level, const char *fmt, ...)
{
	char line[1400];
	va_list ap;
	int n;

	if ((int)level > max_level)
		return;
	n = put_prefix(line, sizeof(line) - 1, level);
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - 1 - (size_t)n, fmt, ap);
	va_end(ap);
	if ((size_t)n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nobody is left to tell */
}
