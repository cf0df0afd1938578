// SPDX-License-Identifier: Apache-2.0
/* compact: age must cost neither descriptors nor sequential speed (DESIGN 4.2).
 *
 * A chunk whose blocks lie in the extent files of more than FILES_MAX epochs of its own lineage is
 * written again, as it is, into the head's: an ordinary copy-on-write of unchanged bytes. What the
 * older epochs held of it is freed by gc when no point needs it. Blocks of lineages below are left
 * where they are: to copy them would be to unshare them. Chunks are noticed when they are resolved;
 * the background thread does the work, a piece at a time, while the host has plenty of room. */
#include <errno.h>
#include <stdlib.h>

#include "store/cleanup.h"
#include "store/core.h"
#include "store/log.h"
#include "store/space.h"

enum { FILES_MAX = 16, QUEUE_MAX = 256, PIECE_BLOCKS = 128 };

bool cow_compact_is_due(struct cow_inode *i, const struct cow_chunk *c)
{
	uint16_t seen[FILES_MAX];
	uint32_t n = 0;

	if (!c->src || i->live->readonly)
		return false;
	for (uint32_t b = 0; b < COW_CHUNK_BLOCKS; b++) {
		uint16_t src = c->src[b];
		uint32_t k = 0;

		if (src < COW_SRC_FIRST || !cow_src_is_own(i, src))
			continue;
		while (k < n && seen[k] != src)
			k++;
		if (k < n)
			continue;
		if (n == FILES_MAX)
			return true;
		seen[n++] = src;
	}
	return false;
}

void cow_compact_later(struct cow_inode *i, uint64_t chunk)
{
	struct cow_store *s = i->live->s;
	struct cow_compact *c;
	WITH_LOCK(&s->worker_lock);

	TAILQ_FOREACH (c, &s->compacts, entry)
		if (c->ino == i->ino && c->chunk == chunk && c->incarnation == i->live->incarnation)
			return;
	if (s->n_compacts == QUEUE_MAX || !(c = malloc(sizeof(*c))))
		return; /* noticed again when it is resolved again */
	*c = (struct cow_compact){
	    .incarnation = i->live->incarnation, .ino = i->ino, .chunk = chunk};
	TAILQ_INSERT_TAIL(&s->compacts, c, entry);
	s->n_compacts++;
}

/* Does the block lie in an older epoch of our own? map held. */
static bool is_old(struct cow_inode *i, const struct cow_chunk *c, uint32_t block)
{
	uint16_t src = cow_chunk_src(c, block);

	return src >= COW_SRC_FIRST && cow_src_is_own(i, src) &&
	       i->sources[src - COW_SRC_FIRST].at.epoch != cow_head(i->live);
}

/* The next run of such blocks at or after *at, at most a piece long; 0 = none left. */
static uint32_t next_run(struct cow_inode *i, uint64_t chunk, uint32_t *at, cow_errno *r)
{
	struct cow_chunk *c;
	uint32_t n = 0;
	WITH_LOCK(&i->map);

	if ((*r = cow_chunk_get(i, chunk, &c)) < 0)
		return 0;
	while (*at < COW_CHUNK_BLOCKS && !is_old(i, c, *at))
		(*at)++;
	while (*at + n < COW_CHUNK_BLOCKS && n < PIECE_BLOCKS && is_old(i, c, *at + n))
		n++;
	return n;
}

/* One piece. The block lock keeps writers of these blocks out: none of them is the head's. */
static cow_errno move_piece(struct cow_inode *i, uint64_t chunk, uint32_t *at, uint8_t *buf)
{
	cow_errno r;
	uint64_t off;
	uint32_t n;
	size_t got = 0;
	WITH_SHARED(&i->live->freeze);

	if ((r = cow_inode_check(i, true)) < 0)
		return r;
	WITH_SHARED(&i->io);
	WITH_LOCK(&i->own);
	n = next_run(i, chunk, at, &r);
	if (r < 0 || n == 0)
		return r < 0 ? r : 1;
	off = (chunk * COW_CHUNK_BLOCKS + *at) * COW_BLOCK;
	*at += n;
	if ((r = cow_file_read(i, buf, off, (size_t)n * COW_BLOCK, &got)) < 0 || got == 0)
		return r;
	return cow_write_blocks(i, buf, off, got, 0);
}

static cow_errno compact(struct cow_inode *i, uint64_t chunk)
{
	CLEANUP_FREE uint8_t *buf = malloc(PIECE_BLOCKS * COW_BLOCK);
	uint32_t at = 0;
	int r = buf ? 0 : -ENOMEM;

	while (r == 0)
		r = move_piece(i, chunk, &at, buf);
	return r < 0 ? r : 0;
}

void cow_compact_run(struct cow_store *s)
{
	struct cow_room_stat room;

	for (;;) {
		struct cow_compact *c;
		struct cow_live *l;
		struct cow_inode *i;

		cow_room_stat(&s->room, &room);
		if (room.state != COW_ROOM_PLENTY)
			return;
		pthread_mutex_lock(&s->worker_lock);
		if ((c = TAILQ_FIRST(&s->compacts))) {
			TAILQ_REMOVE(&s->compacts, c, entry);
			s->n_compacts--;
		}
		pthread_mutex_unlock(&s->worker_lock);
		if (!c)
			return;
		l = cow_live_find(s, c->incarnation);
		if (l && cow_inode_get(l, c->ino, &i) == 0) {
			if (compact(i, c->chunk) == 0)
				cow_log_debug("compacted chunk %llu of inode %llu",
					      (unsigned long long)c->chunk,
					      (unsigned long long)c->ino);
			cow_inode_put(i);
		}
		cow_live_put(l);
		free(c);
	}
}
