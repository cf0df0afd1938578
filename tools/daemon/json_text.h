// SPDX-License-Identifier: Apache-2.0
/* json_text: small helpers around jansson that several verbs need. */
#pragma once
#include <jansson.h>
#include <stdint.h>

/* Text as a JSON string. File names may be any bytes: those that are not UTF-8 become '?'.
 * NULL text is JSON null. */
json_t *json_text(const char *text);

/* Nanoseconds since 1970 as RFC 3339; 0 is JSON null. */
json_t *json_time(int64_t ns);

/* Sizes and counts never exceed what JSON integers hold here (2^63 - 1); larger ones are cut. */
json_t *json_count(uint64_t n);

/* Change an object (NULL `change`: nothing): null removes a key; an object goes into the one that
 * is there; anything else is borrowed from `change` and replaces what was there. */
void json_merge(json_t *into, const json_t *change);
