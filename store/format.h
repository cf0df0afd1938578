// SPDX-License-Identifier: Apache-2.0
/* format: every byte that the map holds. This header is the specification.
 *
 * Keys are a type letter and big-endian numbers, so that memcmp order is the order wanted. ~epoch
 * is the bitwise complement: newer versions sort first, and one seek to (..., ~e) finds the newest
 * version at or before epoch e.
 *
 *   'M' text                          counters and marks of the store (u64 or text)
 *   'B' name                          branch
 *   'D' branch id                     deleted branch that can still be had back
 *   'S' lineage epoch                 snapshot: a name for a sealed epoch
 *   'L' lineage                       lineage
 *   'I' lineage ino ~epoch            inode
 *   'N' lineage dir name 0 ~epoch     directory entry
 *   'O' lineage ino                   unlinked but still open
 *   'C' lineage ino chunk ~epoch      where the blocks of a chunk are
 *   'P' lineage ino                   poisoned file (rule 5)
 *   'X' lineage epoch ino chunk       sums of the blocks of a sealed extent file
 *
 * lineage, epoch, ino, dir, chunk are 64 bits. Values begin with a version byte (1). A value is
 * valid if and only if its version is known, every field is there, nothing follows, and the ranges
 * stated below hold; anything else decodes to -EIO. Decoders trust no length. Numbers are
 * big-endian unless marked varint (LEB128). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/inode.h"
#include "store/kv.h"

#define COW_FORMAT_VERSION 1 /* of the store: VERSION holds "cowfs store 1" */

enum { COW_KEY_MAX = 1 + 8 + 8 + COW_NAME_MAX + 1 + 8 };

struct cow_key {
	uint8_t b[COW_KEY_MAX];
	size_t len;
	size_t prefix; /* of a versioned key: bytes before ~epoch; else len */
};

struct cow_key cow_key_meta(const char *what);
struct cow_key cow_key_branch(const char *name);
struct cow_key cow_key_deleted(uint64_t branch_id);
struct cow_key cow_key_snap(uint64_t lineage, uint64_t epoch);
struct cow_key cow_key_lineage(uint64_t lineage);
struct cow_key cow_key_inode(uint64_t lineage, uint64_t ino, uint64_t epoch);
struct cow_key cow_key_name(uint64_t lineage, uint64_t dir, const char *name, uint64_t epoch);
struct cow_key cow_key_orphan(uint64_t lineage, uint64_t ino);
struct cow_key cow_key_chunk(uint64_t lineage, uint64_t ino, uint64_t chunk, uint64_t epoch);
struct cow_key cow_key_poison(uint64_t lineage, uint64_t ino);
struct cow_key cow_key_sum(uint64_t lineage, uint64_t epoch, uint64_t ino, uint64_t chunk);
/* Prefix of every key of `type` that belongs to the lineage, or (with cow_key_type2) to (lineage,
 * second). */
struct cow_key cow_key_type(char type);
struct cow_key cow_key_type1(char type, uint64_t lineage);
struct cow_key cow_key_type2(char type, uint64_t lineage, uint64_t second);

/* The version of a versioned key: its last eight bytes complemented. Keys of the right length only.
 */
uint64_t cow_key_epoch(const uint8_t *key, size_t len);
/* The n-th number after the type letter (n 0 = lineage). */
uint64_t cow_key_number(const uint8_t *key, unsigned n);

/* --- lineage: parent u64 (0 = over nothing), fork epoch u64, head epoch u64, root ino u64, flags
 * u8, created i64 ns, boot id (u8 length + text) ---
 * boot: of an ephemeral lineage, the boot of the machine in which it was last written to without
 * being synced; empty = everything of it is durable. */
enum { COW_LINEAGE_EPHEMERAL = 1 };
struct cow_lineage_rec {
	uint64_t parent, fork_epoch, head, root;
	uint8_t flags;
	int64_t created_ns;
	char boot[64];
};
cow_errno cow_lineage_encode(const struct cow_lineage_rec *v, struct cow_buf *out);
cow_errno cow_lineage_decode(const void *data, size_t len, struct cow_lineage_rec *out);

/* --- branch: id, lineage, incarnation, parent id u64; created, reset, data i64 ns; flags u8;
 * settings (u32 length + text); version 2: quota u64 bytes after flags. Without a quota version 1
 * is written, which older programs know --- */
enum { COW_BRANCH_EPHEMERAL = 1 };
struct cow_branch_rec {
	uint64_t id, lineage, incarnation, parent_id;
	int64_t created_ns, reset_ns, data_ns;
	uint8_t flags;
	uint64_t quota; /* bytes; 0 = none */
	char *settings; /* owned: release with _branch_release */
};
void cow_branch_release(struct cow_branch_rec *v);
cow_errno cow_branch_encode(const struct cow_branch_rec *v, struct cow_buf *out);
cow_errno cow_branch_decode(const void *data, size_t len, struct cow_branch_rec *out);

/* --- deleted branch: deleted, until i64 ns; flags u8; name (u16 length + text); a branch value ---
 */
enum { COW_DELETED_DEFAULT = 1 }; /* it was the default branch */
struct cow_deleted_rec {
	int64_t deleted_ns, until_ns;
	uint8_t flags;
	char name[COW_BRANCH_MAX + 1];
	struct cow_branch_rec branch; /* owned: release it */
};
cow_errno cow_deleted_encode(const struct cow_deleted_rec *v, struct cow_buf *out);
cow_errno cow_deleted_decode(const void *data, size_t len, struct cow_deleted_rec *out);

/* --- snapshot: branch id u64, created i64, name and message (u16 length + text each) --- */
struct cow_snap_rec {
	uint64_t branch_id;
	int64_t created_ns;
	char name[COW_BRANCH_MAX + 1];
	char message[512];
};
cow_errno cow_snap_encode(const struct cow_snap_rec *v, struct cow_buf *out);
cow_errno cow_snap_decode(const void *data, size_t len, struct cow_snap_rec *out);

/* --- inode: flags u8, mode u32, uid u32, gid u32, nlink u32, rdev u64, size u64, atime, mtime,
 * ctime i64 ns, limit u64, origin epoch u64, origin blocks u64, target (u16 length + text) ---
 * size: at most COW_FILE_MAX; origin blocks: as many as fit into that.
 * nlink 0: the inode is gone for every point from this version on.
 * limit: blocks at or past it are never inherited from a lineage below (inherit limit).
 * origin: every block below `origin_blocks` that no chunk record of this lineage decides lies in
 * the extent file of (this lineage, origin_epoch): a file taken over whole. origin_epoch 0 = none.
 */
enum { COW_INODE_BORN = 1 /* made in this lineage: no lineage below knows it */ };
#define COW_NO_LIMIT UINT64_MAX
struct cow_inode_rec {
	struct cow_attr attr;
	uint8_t flags;
	uint64_t limit, origin_epoch, origin_blocks;
	char *target; /* owned, NULL unless a symlink; release with _inode_release */
};
void cow_inode_release(struct cow_inode_rec *v);
cow_errno cow_inode_encode(const struct cow_inode_rec *v, struct cow_buf *out);
cow_errno cow_inode_decode(const void *data, size_t len, struct cow_inode_rec *out);

/* --- directory entry: ino u64 (0 = whiteout: the name does not exist from here on), type u8
 * (S_IFMT >> 12) --- */
struct cow_name_rec {
	uint64_t ino;
	uint32_t type; /* S_IFMT bits */
};
cow_errno cow_nameval_encode(const struct cow_name_rec *v, struct cow_buf *out);
cow_errno cow_nameval_decode(const void *data, size_t len, struct cow_name_rec *out);

/* --- chunk: varint n, n varint epochs; varint m, m runs of varint {gap, length, index} ---
 * Covers every block that the lineage has of the chunk. A run begins `gap` blocks after the end of
 * the one before; index k > 0 is the k-th epoch, index 0 is zeroes written on purpose. Runs do not
 * overlap, have length > 0 and end at or before block 1,024; n <= 1,024, epochs are > 0. */
struct cow_run {
	uint32_t start, len;
	uint64_t epoch; /* 0 = zeroes */
};
struct cow_chunk_rec {
	uint32_t n;
	struct cow_run run[COW_CHUNK_BLOCKS];
};
cow_errno cow_chunk_encode(const struct cow_chunk_rec *v, struct cow_buf *out);
cow_errno cow_chunk_decode(const void *data, size_t len, struct cow_chunk_rec *out);

/* --- sums: u16 count, then count times {u16 block in chunk, u64 XXH3}, ascending blocks --- */
struct cow_sum_rec {
	uint32_t n;
	struct {
		uint16_t block;
		uint64_t sum;
	} of[COW_CHUNK_BLOCKS];
};
cow_errno cow_sum_encode(const struct cow_sum_rec *v, struct cow_buf *out);
cow_errno cow_sum_decode(const void *data, size_t len, struct cow_sum_rec *out);
