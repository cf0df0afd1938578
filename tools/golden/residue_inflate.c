// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/residue_inflate.h"

#include <limits.h>

#include <lz4.h>
#include <zstd.h>

#define PGLZ_SHORTEST 3u
#define PGLZ_EXTENDED 18u /* a length of this is followed by one more byte of it */

/* A row of items, eight behind each control byte, whose bits say (from the lowest): 0 a byte as it
 * is; 1 a copy of bytes made before: 4 bits high part of the distance, 4 bits length - 3, 8 bits
 * low part of the distance. */
static size_t pglz(const uint8_t *in, size_t len, uint8_t *out, size_t size, bool *whole)
{
	size_t at = 0, made = 0;

	while (at < len && made < size) {
		unsigned control = in[at++];

		for (int k = 0; k < 8 && at < len && made < size; k++, control >>= 1) {
			size_t back, n;

			if (!(control & 1)) {
				out[made++] = in[at++];
				continue;
			}
			if (len - at < 2)
				return made;
			n = (in[at] & 0x0fu) + PGLZ_SHORTEST;
			back = (size_t)(in[at] & 0xf0u) << 4 | in[at + 1];
			at += 2;
			if (n == PGLZ_EXTENDED) {
				if (at == len)
					return made;
				n += in[at++];
			}
			if (back == 0 || back > made)
				return made;
			/* Byte by byte: a copy may reach into what it makes. */
			for (; n > 0 && made < size; n--, made++)
				out[made] = out[made - back];
		}
	}
	*whole = made == size && at == len;
	return made;
}

static size_t lz4(const uint8_t *in, size_t len, uint8_t *out, size_t size, bool *whole)
{
	int n;

	if (len > INT_MAX || size > INT_MAX)
		return 0;
	n = LZ4_decompress_safe((const char *)in, (char *)out, (int)len, (int)size);
	if (n >= 0) {
		*whole = (size_t)n == size;
		return (size_t)n;
	}
	/* Damaged, cut off, or no lz4 at all: as far as it goes, if it goes anywhere. */
	for (size_t part = size; part >= 16; part /= 2) {
		n = LZ4_decompress_safe_partial((const char *)in, (char *)out, (int)len, (int)part,
						(int)size);
		if (n > 0)
			return (size_t)n;
	}
	return 0;
}

static size_t zstd(const uint8_t *in, size_t len, uint8_t *out, size_t size, bool *whole)
{
	size_t n = ZSTD_decompress(out, size, in, len);

	if (ZSTD_isError(n))
		return 0;
	*whole = n == size;
	return n;
}

size_t inflate(enum inflate_method method, const uint8_t *in, size_t len, uint8_t *out, size_t size,
	       bool *whole)
{
	*whole = false;
	switch (method) {
	case INFLATE_PGLZ:
		return pglz(in, len, out, size, whole);
	case INFLATE_LZ4:
		return lz4(in, len, out, size, whole);
	case INFLATE_ZSTD:
		return zstd(in, len, out, size, whole);
	}
	return 0;
}
