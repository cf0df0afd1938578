// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "tests/fuzz/fuzz.h"

char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	fuzz_want(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}
