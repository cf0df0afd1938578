// SPDX-License-Identifier: Apache-2.0
/* touched: which inodes and names a lineage has records of, known in memory. Private to store/.
 *
 * A look-up walks the chain of lineages from the head down; nearly always only one of them has an
 * answer. Asking the map in each costs more with every fork, so each lineage keeps a set of marks
 * of what it has records of, shared by every live that has it in its chain, and a lineage without
 * the mark is not asked.
 *
 * Guarantee: no mark = no record, at whatever epoch. The opposite does not hold: a mark may be
 * another one's by chance, or of a record that gc took; then the map is asked for nothing. A base
 * has no set (it is always asked, last), nor does a lineage with more than COW_TOUCHED_MAX marks.
 *
 * How that is kept: the set exists before the first write to the lineage in this process, and
 * whoever writes a record marks it before. What earlier processes wrote is read from the map, once,
 * when somebody first asks; a lineage that was just made has nothing there.
 *
 * Memory: 16 to 32 bytes a mark, 2 MiB a lineage at most. Threads: any. */
#pragma once
#include "store/core.h"

enum { COW_TOUCHED_MAX = 1 << 17 };

/* The set of the lineage (a reference), made if nobody has it. `rec` is the lineage's record, or
 * NULL: then it is read where it is not known. -ENOENT, -EIO as cow_lineage_get; -ENOMEM. */
cow_errno cow_touched_get(struct cow_store *s, uint64_t lineage, const struct cow_lineage_rec *rec,
			  struct cow_touched **ret);
/* Nothing of the lineage is in the map yet: it need not be read. Before anybody else knows it. */
void cow_touched_born(struct cow_touched *t);
void cow_touched_put(struct cow_touched *t); /* NULL is fine */

/* Marks are made once for a walk through the chain. */
uint32_t cow_mark_inode(uint64_t ino);
uint32_t cow_mark_dir(uint64_t dir); /* of any name in it */
uint32_t cow_mark_name(uint64_t dir, const char *name, size_t len);

/* Before the record is put into the map. */
void cow_touched_add(struct cow_touched *t, uint32_t mark);
/* False: the lineage has no such record. May read the map. */
bool cow_touched_may_have(struct cow_touched *t, uint32_t mark);

/* The point that the lineage began over; lineage 0 = over nothing. */
struct cow_point cow_touched_over(const struct cow_touched *t);
