// SPDX-License-Identifier: Apache-2.0
#include "store/error.h"

#include <stdio.h>
#include <string.h>

cow_errno cow_fail(struct cow_error *e, cow_errno r, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return r;
	e->hint[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return r;
}

cow_errno cow_wrap(struct cow_error *e, cow_errno r, const char *fmt, ...)
{
	char inner[sizeof(e->text)];
	va_list ap;
	int n;

	if (!e)
		return r;
	snprintf(inner, sizeof(inner), "%s", e->text[0] ? e->text : strerror(-r));
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(e->text))
		snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %.*s",
			 (int)(sizeof(e->text) - (size_t)n - 3), inner);
	return r;
}

cow_errno cow_hint(struct cow_error *e, cow_errno r, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return r;
	va_start(ap, fmt);
	vsnprintf(e->hint, sizeof(e->hint), fmt, ap);
	va_end(ap);
	return r;
}
