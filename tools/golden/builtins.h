// SPDX-License-Identifier: Apache-2.0
/* builtins: what a rule means for a column of a certain type, as an SQL expression over its row.
 *
 * Pure. The functions it calls are in mask.sql. */
#pragma once
#include "tools/golden/rules.h"

/* `domain`: of fake e-mail addresses. *ret is allocated. -EINVAL the rule does not fit: unknown,
 * wrong arguments, not for this type, null in a NOT NULL column, one value in a unique one. */
cow_errno golden_expression(const struct golden_table *t, const struct golden_column *c,
			    const struct golden_call *call, const char *domain, char **ret,
			    struct cow_error *e);

/* "name" -> "\"name\"", 'it''s': allocated. */
char *golden_quote_name(const char *name);
char *golden_quote_text(const char *text);
