// SPDX-License-Identifier: Apache-2.0
/* residue_inflate: undo the compressions of PostgreSQL.
 *
 * pglz (PostgreSQL's own, decoded here), lz4 and zstd (their libraries; this is the only file of
 * the tools that includes them). Input is whatever lies in a file: every length and reference in it
 * is checked, nothing outside the given memory is read or written, and what was decoded before a
 * fault is kept, because half of a value is a trace too. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum inflate_method { INFLATE_PGLZ, INFLATE_LZ4, INFLATE_ZSTD };

/* At most this many bytes come out of one, whatever the method: a claim of more is no claim. */
#define INFLATE_RATIO 256u

/* Decode into out[0..size). Answers how many bytes were made; *whole: exactly `size`, from exactly
 * all of the input. The rest of `out` may have been written to. */
size_t inflate(enum inflate_method method, const uint8_t *in, size_t len, uint8_t *out, size_t size,
	       bool *whole);
