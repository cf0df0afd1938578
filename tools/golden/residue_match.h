// SPDX-License-Identifier: Apache-2.0
/* residue_match: find any of very many byte strings in a stream.
 *
 * A filter and a check: of every pattern four neighbouring 5-byte windows are entered into a bit
 * map, and the text is looked at in every fourth position only, because one of the four must begin
 * there. What passes is looked up and compared. So the cost hangs on the text, hardly on the number
 * of patterns, and memory is about 100 bytes for each: an Aho-Corasick automaton of 100,000 values
 * needs two million states (gigabytes when dense, a cache miss for every byte when not), and
 * Debian's libhyperscan exists for amd64 alone. It rests on a minimal length, which the scan needs
 * anyway: shorter values are found everywhere by accident. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/error.h"

#define MATCH_MIN 8u  /* bytes of a pattern */
#define MATCH_MAX 64u /* longer values are given as pieces (originals.h) */

struct matcher;

/* NULL without memory. */
struct matcher *matcher_new(void);
void matcher_free(struct matcher *m);

/* Copies. `fold`: ASCII letters match in either case. `id` is what a match is reported by; several
 * patterns may have one. -EINVAL length out of bounds, -ENOMEM. Before matcher_ready. */
cow_errno matcher_add(struct matcher *m, const void *bytes, size_t len, bool fold, uint32_t id);
/* Once, after the last pattern. -ENOMEM. Without patterns nothing is ever found. */
cow_errno matcher_ready(struct matcher *m);
size_t matcher_count(const struct matcher *m);

/* Every occurrence in [buf, buf + len), in rising order of position up to a few bytes. Any number
 * of threads. `at` is where it begins. */
void matcher_scan(const struct matcher *m, const uint8_t *buf, size_t len,
		  void (*found)(void *arg, uint32_t id, size_t at, size_t len), void *arg);
