// SPDX-License-Identifier: Apache-2.0
/* detect_parts: what detect.c and detect_number.c share; private to them. */
#pragma once
#include "tools/golden/detect.h"

struct detect_walk {
	const struct detect_policy *policy;
	const uint8_t *buf;
	size_t len, from, to;
	void (*found)(void *arg, enum detect_kind kind, size_t at, size_t len);
	void *arg;
};

static inline bool detect_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static inline void detect_report(const struct detect_walk *w, enum detect_kind kind, size_t at,
				 size_t len)
{
	if (at >= w->from && at < w->to)
		w->found(w->arg, kind, at, len);
}

/* Cards, IBANs, and phone numbers of the American plan without a '+'. */
void detect_numbers(const struct detect_walk *w);
