// SPDX-License-Identifier: Apache-2.0
/* residue: does a stopped data directory still hold what was to be removed?
 *
 * Reads every byte of every file and looks for the originals (originals.h) and for what looks like
 * data of people (detect.h): as it lies there, and after putting together and unpacking what
 * PostgreSQL splits and compresses: relation files, forks, old files of relations   pages;
 * compressed values in tuples of heaps, indexes and statistics, also in tuples that are gone TOAST
 * and large objects                         the chunks of each value in order, unpacked pg_wal the
 * row of bytes without the page headers that cut it; full-page images rebuilt (pglz, lz4, zstd);
 *                                                   inserted chunks of TOAST put together
 *   pgsql_tmp                                       the blocks of each sort tape in order
 *   logs, configuration, statistics, SLRU, slots    as they lie there
 * It needs no catalog for that, only to name relations (relmap.h): a file that nobody refers to is
 * read like any other.
 *
 * What it cannot see: values that an index or a filter keeps only as parts or hashes (trigrams,
 * hash and bloom indexes, the radix tree of SP-GiST over text); a compressed TOAST value whose
 * first chunk was overwritten; what is encrypted or compressed by somebody else than PostgreSQL
 * (pgcrypto, gzip). And it looks for samples and shapes: it proves that a cleaning step worked, not
 * that no byte is left. An original is never part of what it says. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/error.h"
#include "tools/golden/detect.h"

struct originals;
struct relmap;

struct residue_scan {
	const char *dir;
	const struct originals *originals;  /* ready; NULL = only detectors */
	const struct detect_policy *policy; /* NULL = only originals */
	const struct relmap *relations;     /* NULL = files are named */
	const char *const *allow;           /* schema.table or schema.table.column; NULL = none */
	unsigned threads;                   /* 0 = one for each processor */
	/* Called by one thread at a time, a few times for each file; may be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

#define RESIDUE_LISTED 200u /* hits that are kept; all are counted */

struct residue_hit {
	bool original;         /* else a detector's */
	enum detect_kind kind; /* of a detector */
	char *what;            /* "public.people.email of shop", or the name of the detector */
	char *file;            /* below dir */
	char *where;           /* relation and column, as far as known: "" = only the file */
	const char *place;     /* how it lies there: "plain", "TOAST", ... */
	uint64_t offset; /* in the file; of the first chunk or page for what was put together */
	uint64_t count;  /* like it in this file: the same what, where and place */
};

struct residue_result {
	struct residue_hit *hits;
	size_t listed;
	uint64_t originals, detected; /* hits in all */
	uint64_t allowed;             /* hits that the allow-list let pass */
	uint64_t files, bytes;
	uint64_t unpacked, unpacked_bytes; /* compressed values */
	uint64_t toasted;                  /* values put together from chunks */
	uint64_t wal_records, wal_images;
	uint64_t ms;
};

/* 0 also with hits. -ENOENT.., -EIO the directory cannot be read as a whole: then nothing is
 * proven. `ret` needs residue_release in every case. */
cow_errno residue_run(const struct residue_scan *how, struct residue_result *ret,
		      struct cow_error *e);
void residue_release(struct residue_result *r);
