// SPDX-License-Identifier: Apache-2.0
/* needs: which versions and which blocks of one lineage some point can see. Private to store/.
 *
 * A lineage's records refer only to its own extent files, so what is garbage is decided lineage by
 * lineage, from its points alone: its named snapshots, the points its children began over, views
 * that are open, and its head while a branch names it. A version is needed if it is the newest at
 * or before some point. A block of an extent file is needed if a needed chunk version places it
 * there, or if a needed inode version has the file as its whole-file origin and no chunk version
 * decides that chunk at that point. gc, du and verify all ask this one place. */
#pragma once
#include "store/core.h"

struct cow_needs_points {
	uint64_t *at; /* ascending epochs */
	size_t n;
	uint64_t head; /* versions newer than this are always needed; 0 = there is no head */
};

struct cow_needs_sink {
	/* A record that no point can see. May be NULL. */
	int (*dead)(const uint8_t *key, size_t klen, void *arg);
	/* Blocks of the extent file (epoch, ino) that are needed: bits of the 1,024 blocks of
	 * `chunk`, as 16 words. Once per (ino, chunk, epoch). May be NULL. */
	int (*block)(uint64_t epoch, uint64_t ino, uint64_t chunk, const uint64_t bits[16],
		     void *arg);
	void *arg;
};

/* 0, or what a sink answered, or -EIO, -ENOMEM. */
int cow_needs(struct cow_store *s, uint64_t lineage, const struct cow_needs_points *p,
	      const struct cow_needs_sink *sink);
