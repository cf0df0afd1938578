// SPDX-License-Identifier: Apache-2.0
/* digest: SHA-256 as hex text, and random bytes for the salt. The fence before OpenSSL in this
 * folder. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "store/error.h"

#define DIGEST_TEXT 65 /* bytes of the text with the NUL */

struct digest;
struct digest *digest_new(void); /* NULL without memory; every call takes that */
void digest_add(struct digest *d, const void *bytes, size_t len);
/* Writes the text and frees. False when there was no memory: `ret` is "". */
bool digest_end(struct digest *d, char ret[DIGEST_TEXT]);

/* `n` bytes nobody can guess, as 2n hex digits and a NUL. -EIO the system has none. */
cow_errno digest_random(size_t n, char *ret);
