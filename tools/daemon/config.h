// SPDX-License-Identifier: Apache-2.0
/* config: the settings file of a store, STORE/cowfs.conf (optional).
 *
 * Sections and keys as in an INI file; what the command line says wins. [mount]: what cowfs mount
 * takes, read when it begins. [serve]: what cowfs serve takes, read when it begins. [branches]:
 * what holds for all branches, read by every command that needs it: undelete_window, max_branches,
 * max_unique_bytes, and what a branch has that says nothing else: profile, memory, cpus. [golden]
 * config: the golden.conf of its golden image. [fork]: as fork_policy.h says. */
#pragma once
#include "store/error.h"

struct config;

/* A missing file is an empty configuration. -EINVAL names the line or the unknown key. */
cow_errno config_load(const char *store, struct config **ret, struct cow_error *e);
void config_free(struct config *c); /* NULL is fine */

/* NULL = not set. Borrowed from `c`. */
const char *config_get(const struct config *c, const char *section, const char *key);
