// SPDX-License-Identifier: Apache-2.0
/* residue_parts: what the files of the residue scan share; private to residue*.c and their tests.
 *
 * residue.c lists the files and shares them out; each is read by one thread, which has a `reader`.
 * residue_file.c reads, residue_page.c, residue_wal.c, residue_spill.c and residue_toast.c know the
 * formats, and everything ends in reader_bytes. */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tools/golden/residue.h"

#define PAGE 8192u
#define CARRY                                                                                      \
	256u /* bytes seen again with the next piece of a stream: >= all that is looked for        \
	      */

/* A piece of a TOAST value or a large object: where its bytes are. */
struct chunk {
	uint32_t id, seq;
	uint32_t segment; /* file of the relation: number after the dot */
	uint32_t block;
	uint16_t at, len; /* in the block, with the varlena header */
};

/* All segments of one fork of one relation; only the main fork gathers chunks. */
struct relation_file {
	char *path; /* below dir, without segment */
	struct chunk *chunks;
	size_t n, room;
	unsigned waiting; /* segments that are not read yet */
	pthread_mutex_t lock;
};

enum file_kind { FILE_RELATION, FILE_WAL, FILE_SPILL, FILE_OTHER };

struct file {
	char *path; /* below dir */
	uint64_t size;
	enum file_kind kind;
	struct relation_file *relation; /* of FILE_RELATION */
	uint32_t segment;
};

struct scan {
	const struct residue_scan *how;
	struct residue_result *result;
	struct file *files;
	size_t n, room;
	struct relation_file **relations;
	size_t n_relations, relations_room;
	uint64_t total;

	pthread_mutex_t lock; /* protects all below and result */
	size_t next;
	uint64_t done;
	bool wal_taken;
	cow_errno error; /* the first; others stop */
	struct cow_error why;
};

/* A part of the piece being read whose contents are looked at unpacked: detectors leave it alone.
 */
struct covered {
	uint64_t from, to;
};

struct reader {
	struct scan *scan;
	const struct file *file;
	const char *path;    /* of the file, or of the relation that is put together */
	const char *belongs; /* file name of the relation whose bytes these are; NULL = path is */
	const char *place;   /* how the bytes at hand lie there */
	uint64_t base;       /* offset in the file of the bytes at hand */
	bool fixed; /* every hit is reported at `base`: the bytes do not lie there as they are */
	bool quiet; /* no detectors: the bytes are a damaged half */

	/* Whole pages of a relation that hits are in, to name the column; NULL = none at hand. */
	const uint8_t *pages;
	uint64_t pages_base;
	size_t pages_len;

	struct covered *covered;
	size_t n_covered, covered_room;
	bool covered_sorted;
	uint8_t *scratch; /* for what is unpacked */
	size_t scratch_size;
	/* Sums, added to the result when the thread ends. */
	uint64_t bytes, unpacked, unpacked_bytes, toasted, wal_records, wal_images;
};

static inline uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* --- residue.c --- */

/* Note the first failure; everybody stops. Returns r. */
cow_errno scan_fail(struct scan *s, cow_errno r, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool scan_stopped(struct scan *s);
void scan_progress(struct scan *s, uint64_t bytes);

/* --- residue_report.c: from a match to a hit --- */

/* Look at bytes; the first `seen` of them were looked at before, as the end of the piece before.
 * `last`: the stream ends here. */
void reader_bytes(struct reader *r, const uint8_t *buf, size_t len, size_t seen, bool last);
/* Detectors shall leave [from, to) of the file alone. */
void reader_cover(struct reader *r, uint64_t from, uint64_t to);
/* Forget what ends before `from`. */
void reader_uncover(struct reader *r, uint64_t from);
/* Can files of r->path hold chunks, as far as is known? */
bool reader_may_have_chunks(const struct reader *r);

/* --- residue_file.c --- */

/* Open a file of the directory; -errno noted. */
int reader_open(struct reader *r, const char *path);
void reader_file(struct reader *r, const struct file *f);

/* --- residue_page.c --- */

/* Unpack every compressed value that begins at a multiple of `step`, and look at it. `base`: offset
 * of buf in the file. */
void reader_hunt(struct reader *r, const uint8_t *buf, size_t len, size_t step, uint64_t base);
/* One page of a relation at `base`: compressed values, and chunks into `found` (may be NULL). */
struct chunk_list {
	struct chunk *chunks;
	size_t n, room;
};
void reader_page(struct reader *r, const uint8_t *page, uint64_t base, struct chunk_list *found);
/* Is there the data of a tuple of (oid, int4 >= 0, bytea) at p? Its varlena at p + 8 fits in `len`.
 */
bool chunk_shape(const uint8_t *p, size_t len, struct chunk *ret);
cow_errno chunk_add(struct chunk_list *l, const struct chunk *c);
/* Unpack and look; `len` bytes at `in` without a header, that claim to be `size` when unpacked. */
bool reader_unpack(struct reader *r, uint32_t tcinfo, const uint8_t *in, size_t len);

/* --- residue_toast.c --- */

/* Put the chunks in order and look at each value. `get` gives the varlena of a chunk, or NULL. */
void reader_chunks(struct reader *r, struct chunk_list *l,
		   const uint8_t *(*get)(void *arg, const struct chunk *c), void *arg);
void reader_relation(struct reader *r, struct relation_file *f);

/* --- residue_wal.c, residue_spill.c --- */
void reader_wal(struct reader *r);
void reader_tapes(struct reader *r, const struct file *f);
