// SPDX-License-Identifier: Apache-2.0
/* codec: sums of blocks. The only user of xxHash. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* XXH3, 64 bits, of one block (or less, at the end of a file). */
uint64_t cow_codec_sum(const void *data, size_t len);
