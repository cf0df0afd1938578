// SPDX-License-Identifier: Apache-2.0
/* columns: what is in the databases of the image, and whether everything about it was decided.
 *
 * Fail closed: golden_decide() finds for each column its rule, and lists what has none, whose rule
 * does not fit, or what the rules together would break (keys). The list holds no values of the
 * source. */
#pragma once
#include "tools/golden/rules.h"

/* Read tables and columns of every database of the image at a server (dbname of `at` is ignored).
 * With conf->labels, labels for anon that no file speaks about become rules. -ENOENT a database of
 * golden.conf is not there. */
cow_errno golden_inventory(const struct golden_conf *conf, const struct pg_address *at,
			   struct golden_rules *rules, struct golden_database **ret, size_t *ret_n,
			   struct cow_error *e);

/* Decide every column. *ret_problems: a new array of {database, table, column, type, problem,
 * suggestion, reason}; empty = all is decided. *ret_notes: array of text about rules that are for
 * nothing. -ENOMEM. */
cow_errno golden_decide(const struct golden_conf *conf, struct golden_rules *rules,
			struct golden_database *d, size_t n, json_t **ret_problems,
			json_t **ret_notes, struct cow_error *e);

/* Add to each undecided column a rule to paste, by its name and by up to 200 values of it. */
cow_errno golden_suggest(const struct pg_address *at, json_t *problems, struct cow_error *e);

/* The first few problems as the text of an error; returns -EPERM. */
cow_errno golden_refuse(const json_t *problems, struct cow_error *e);
