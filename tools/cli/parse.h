// SPDX-License-Identifier: Apache-2.0
/* parse: text from people to values, with an error that says what would have been right.
 *
 * Pure functions. On failure -EINVAL, the reason in `e` (may be NULL), *ret untouched. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "store/error.h"

/* "4096", "64K", "64KiB", "1.5GiB", "2 TB"; powers of 1024 always. Bytes. */
cow_errno parse_size(const char *text, uint64_t *ret, struct cow_error *e);

/* "90s", "10m", "2h", "7d", "1h30m", "250ms"; a number alone is seconds. Milliseconds. */
cow_errno parse_duration(const char *text, uint64_t *ret_ms, struct cow_error *e);

/* RFC 3339: "2026-01-31T12:00:00Z", "... +02:00", fractions allowed. Nanoseconds since 1970. */
cow_errno parse_time(const char *text, int64_t *ret_ns, struct cow_error *e);

/* Processors that a server may use: "0.5", "2"; from 0.01 to 1024. */
cow_errno parse_cpus(const char *text, double *ret, struct cow_error *e);

/* A whole number in [low, high]. */
cow_errno parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *ret,
		       struct cow_error *e);

/* RFC 3339 UTC with microseconds; buf of at least PARSE_TIME_SIZE. */
#define PARSE_TIME_SIZE 40
void parse_time_format(int64_t ns, char *buf, size_t size);

/* How many edits make one word the other: for suggestions. */
unsigned parse_distance(const char *a, const char *b);
