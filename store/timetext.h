// SPDX-License-Identifier: Apache-2.0
/* timetext: a time as people write it, in references (branch.h) and options alike. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* RFC 3339 from 1970 to 2261, "2026-01-31T12:00:00Z", "...+02:00", or as postgres prints it,
 * "2026-01-31 12:00:00+02"; fractions allowed. Nanoseconds since 1970. false: none, *ret_ns
 * untouched. */
bool cow_time_parse(const char *text, int64_t *ret_ns);
