// SPDX-License-Identifier: Apache-2.0
/* names: directory entries of a live branch, resolved through its chain. Private to store/. */
#pragma once
#include "store/core.h"

/* The entry as the live shows it. -ENOENT none (or a whiteout). names is held. */
cow_errno cow_names_find(struct cow_live *l, uint64_t dir, const char *name,
			 struct cow_name_rec *ret);
/* Put `name` -> (ino, type) for the head epoch. */
void cow_names_set(struct cow_live *l, struct cow_batch *b, uint64_t dir, const char *name,
		   const struct cow_name_rec *v);
/* The name goes: a whiteout if anything below would show through, else nothing stays. names is
 * held. */
cow_errno cow_names_unset(struct cow_live *l, struct cow_batch *b, uint64_t dir, const char *name);
/* 0 empty, -ENOTEMPTY. names is held. */
cow_errno cow_names_empty(struct cow_live *l, uint64_t dir);
/* As cow_name_each; names is held. */
int cow_names_each(struct cow_live *l, uint64_t dir,
		   int (*each)(const char *name, uint64_t ino, uint32_t type, void *arg),
		   void *arg);
