// SPDX-License-Identifier: Apache-2.0
/* format: what is encoded decodes to the same, and bytes that nobody encoded never decode to
 * anything. */
#include "store/format.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Every key type sorts by its numbers, newest version first. */
Test(format, keys_sort_as_wanted)
{
	struct cow_key a = cow_key_inode(1, 2, 7), b = cow_key_inode(1, 2, 6),
		       c = cow_key_inode(1, 3, 9), d = cow_key_inode(2, 1, 9);

	cr_assert_lt(memcmp(a.b, b.b, a.len), 0, "the newer epoch comes first");
	cr_assert_lt(memcmp(b.b, c.b, a.len), 0);
	cr_assert_lt(memcmp(c.b, d.b, a.len), 0);
	cr_assert_eq(a.len - a.prefix, 8);
	cr_assert_eq(memcmp(a.b, b.b, a.prefix), 0);
	cr_assert_eq(cow_key_epoch(a.b, a.len), 7);
	cr_assert_eq(cow_key_number(a.b, 0), 1);
	cr_assert_eq(cow_key_number(a.b, 1), 2);
	a = cow_key_chunk(1, 2, 3, 4);
	cr_assert_eq(cow_key_number(a.b, 2), 3);
	cr_assert_eq(cow_key_epoch(a.b, a.len), 4);
}

/* The versions of one name lie together: "a" is no beginning of "ab". */
Test(format, names_do_not_mix)
{
	struct cow_key a = cow_key_name(1, 1, "a", 5), ab = cow_key_name(1, 1, "ab", 5);

	cr_assert(a.prefix > ab.prefix || memcmp(a.b, ab.b, a.prefix) != 0);
	cr_assert_neq(a.len, ab.len);
}

/* Takes bytes; 0 or -EIO, and releases what it made. */
typedef cow_errno (*decoder)(const void *data, size_t len);

static cow_errno lineage(const void *data, size_t len)
{
	struct cow_lineage_rec v;

	return cow_lineage_decode(data, len, &v);
}

static cow_errno branch(const void *data, size_t len)
{
	struct cow_branch_rec v = {0};
	cow_errno r = cow_branch_decode(data, len, &v);

	if (!r)
		cow_branch_release(&v);
	return r;
}

static cow_errno snap(const void *data, size_t len)
{
	struct cow_snap_rec v;

	return cow_snap_decode(data, len, &v);
}

static cow_errno inode(const void *data, size_t len)
{
	struct cow_inode_rec v = {.flags = 0};
	cow_errno r = cow_inode_decode(data, len, &v);

	if (!r)
		cow_inode_release(&v);
	return r;
}

static cow_errno nameval(const void *data, size_t len)
{
	struct cow_name_rec v;

	return cow_nameval_decode(data, len, &v);
}

static cow_errno chunk(const void *data, size_t len)
{
	static struct cow_chunk_rec v;
	cow_errno r = cow_chunk_decode(data, len, &v);

	for (uint32_t k = 0, at = 0; !r && k < v.n; k++) {
		cr_assert(v.run[k].len > 0 && v.run[k].start >= at &&
			  v.run[k].start + v.run[k].len <= COW_CHUNK_BLOCKS);
		at = v.run[k].start + v.run[k].len;
	}
	return r;
}

static cow_errno sum(const void *data, size_t len)
{
	static struct cow_sum_rec v;
	cow_errno r = cow_sum_decode(data, len, &v);

	for (uint32_t k = 1; !r && k < v.n; k++)
		cr_assert_lt(v.of[k - 1].block, v.of[k].block);
	return r;
}

/* Cut anywhere, lengthened, or of an unknown version: refused. Changed in any byte: refused or
 * decoded, but read only within its bounds (the sanitizers watch: the bytes are in a block of
 * exactly their size). */
static void torture(decoder decode, const struct cow_buf *good)
{
	for (size_t n = 0; n < good->len; n++) {
		uint8_t *cut = malloc(n ? n : 1);

		memcpy(cut, good->data, n);
		cr_assert_eq(decode(cut, n), -EIO, "%zu of %zu bytes were enough", n, good->len);
		free(cut);
	}
	uint8_t *copy = malloc(good->len + 1);

	memcpy(copy, good->data, good->len);
	copy[good->len] = 0;
	cr_assert_eq(decode(copy, good->len), 0);
	cr_assert_eq(decode(copy, good->len + 1), -EIO, "something follows");
	copy[0] = 99;
	cr_assert_eq(decode(copy, good->len), -EIO, "version 99");
	free(copy);
	copy = malloc(good->len);
	for (size_t k = 0; k < good->len; k++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(copy, good->data, good->len);
			copy[k] ^= (uint8_t)(1u << bit);
			cow_errno r = decode(copy, good->len);

			cr_assert(r == 0 || r == -EIO, "%d", r);
		}
	}
	free(copy);
}

Test(format, lineage_record)
{
	struct cow_lineage_rec v = {.parent = 1,
				    .fork_epoch = 2,
				    .head = 3,
				    .root = 4,
				    .flags = 1,
				    .created_ns = -5,
				    .boot = "boot-id"},
			       w;
	struct cow_buf b = {0};

	cr_assert_eq(cow_lineage_encode(&v, &b), 0);
	cr_assert_eq(cow_lineage_decode(b.data, b.len, &w), 0);
	cr_assert(w.parent == 1 && w.fork_epoch == 2 && w.head == 3 && w.root == 4 &&
		  w.flags == 1 && w.created_ns == -5 && strcmp(w.boot, "boot-id") == 0);
	torture(lineage, &b);
	cow_buf_release(&b);
}

static cow_errno deleted(const void *data, size_t len)
{
	struct cow_deleted_rec v = {0};
	cow_errno r = cow_deleted_decode(data, len, &v);

	if (r == 0)
		cow_branch_release(&v.branch);
	return r;
}

Test(format, deleted_record)
{
	struct cow_deleted_rec v = {.deleted_ns = 5,
				    .until_ns = 6,
				    .flags = COW_DELETED_DEFAULT,
				    .name = "feature/x",
				    .branch = {.id = 1, .lineage = 2, .settings = (char *)"{}"}},
			       w = {0};
	struct cow_buf b = {0};

	cr_assert_eq(cow_deleted_encode(&v, &b), 0);
	cr_assert_eq(cow_deleted_decode(b.data, b.len, &w), 0);
	cr_assert(w.deleted_ns == 5 && w.until_ns == 6 && w.flags == COW_DELETED_DEFAULT);
	cr_assert(w.branch.id == 1 && w.branch.lineage == 2);
	cr_assert_str_eq(w.name, "feature/x");
	cr_assert_str_eq(w.branch.settings, "{}");
	cow_branch_release(&w.branch);
	torture(deleted, &b);
	cow_buf_release(&b);
}

Test(format, branch_record)
{
	struct cow_branch_rec v = {.id = 1,
				   .lineage = 2,
				   .incarnation = 3,
				   .parent_id = 4,
				   .created_ns = 5,
				   .reset_ns = 6,
				   .data_ns = 7,
				   .flags = 1,
				   .settings = (char[]){"{\"a\":1}"}},
			      w = {0};
	struct cow_buf b = {0};

	cr_assert_eq(cow_branch_encode(&v, &b), 0);
	cr_assert_eq(cow_branch_decode(b.data, b.len, &w), 0);
	cr_assert(w.id == 1 && w.lineage == 2 && w.incarnation == 3 && w.parent_id == 4 &&
		  w.data_ns == 7 && strcmp(w.settings, "{\"a\":1}") == 0);
	cow_branch_release(&w);
	torture(branch, &b);
	cow_buf_release(&b);
}

Test(format, snapshot_record)
{
	struct cow_snap_rec v = {.branch_id = 1, .created_ns = 2, .name = "name", .message = "why"},
			    w;
	struct cow_buf b = {0};

	cr_assert_eq(cow_snap_encode(&v, &b), 0);
	cr_assert_eq(cow_snap_decode(b.data, b.len, &w), 0);
	cr_assert(w.branch_id == 1 && strcmp(w.name, "name") == 0 && strcmp(w.message, "why") == 0);
	torture(snap, &b);
	cow_buf_release(&b);
}

Test(format, inode_record)
{
	struct cow_inode_rec v = {.attr = {.ino = 9,
					   .mode = S_IFLNK | 0777,
					   .uid = 1,
					   .gid = 2,
					   .nlink = 3,
					   .rdev = 4,
					   .size = 6,
					   .atime = {7, 8},
					   .mtime = {9, 10},
					   .ctime = {11, 12}},
				  .limit = COW_NO_LIMIT,
				  .origin_epoch = 13,
				  .origin_blocks = 14,
				  .target = (char[]){"target"}},
			     w = {.flags = 0};
	struct cow_buf b = {0};

	cr_assert_eq(cow_inode_encode(&v, &b), 0);
	cr_assert_eq(cow_inode_decode(b.data, b.len, &w), 0);
	cr_assert(w.attr.mode == v.attr.mode && w.attr.uid == 1 && w.attr.gid == 2 &&
		  w.attr.nlink == 3 && w.attr.size == 6 && w.attr.mtime.tv_sec == 9 &&
		  w.attr.mtime.tv_nsec == 10 && w.limit == COW_NO_LIMIT && w.origin_blocks == 14 &&
		  strcmp(w.target, "target") == 0);
	cow_inode_release(&w);
	torture(inode, &b);
	cow_buf_release(&b);
}

Test(format, name_record)
{
	struct cow_name_rec v = {.ino = 77, .type = S_IFDIR}, w;
	struct cow_buf b = {0};

	cr_assert_eq(cow_nameval_encode(&v, &b), 0);
	cr_assert_eq(cow_nameval_decode(b.data, b.len, &w), 0);
	cr_assert(w.ino == 77 && w.type == S_IFDIR);
	torture(nameval, &b);
	cow_buf_release(&b);
}

/* From one block to the worst case: every block from another epoch. */
Test(format, chunk_record)
{
	static struct cow_chunk_rec v, w;
	struct cow_buf b = {0};

	for (uint32_t n = 0; n <= COW_CHUNK_BLOCKS; n = n ? n * 2 : 1) {
		v.n = n;
		for (uint32_t k = 0; k < n; k++)
			v.run[k] = (struct cow_run){.start = k * (COW_CHUNK_BLOCKS / n),
						    .len = 1,
						    .epoch = k % 5 ? k * 1000003ull : 0};
		cr_assert_eq(cow_chunk_encode(&v, &b), 0);
		cr_assert_eq(cow_chunk_decode(b.data, b.len, &w), 0, "%u runs", n);
		/* Neighbours that are zeroes, or of one epoch, may come back as one run. */
		for (uint32_t k = 0, j = 0; k < n; k++) {
			while (j + 1 < w.n && w.run[j].start + w.run[j].len <= v.run[k].start)
				j++;
			cr_assert(w.run[j].start <= v.run[k].start &&
				      w.run[j].epoch == v.run[k].epoch,
				  "run %u of %u", k, n);
		}
	}
	torture(chunk, &b);
	cow_buf_release(&b);
}

Test(format, sum_record)
{
	static struct cow_sum_rec v, w;
	struct cow_buf b = {0};

	v.n = 100;
	for (uint32_t k = 0; k < v.n; k++) {
		v.of[k].block = (uint16_t)(k * 10);
		v.of[k].sum = k * 0x123456789abcdefull;
	}
	cr_assert_eq(cow_sum_encode(&v, &b), 0);
	cr_assert_eq(cow_sum_decode(b.data, b.len, &w), 0);
	cr_assert(w.n == 100 && w.of[99].block == 990 && w.of[99].sum == v.of[99].sum);
	torture(sum, &b);
	cow_buf_release(&b);
}

/* Random bytes: never more than a refusal. */
Test(format, garbage_is_refused_or_harmless)
{
	static const decoder all[] = {lineage, branch, deleted, snap, inode, nameval, chunk, sum};
	unsigned state = 12345;

	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)rand_r(&state) % 120;
		uint8_t *p = malloc(len ? len : 1);

		for (size_t k = 0; k < len; k++)
			p[k] = (uint8_t)rand_r(&state);
		if (len)
			p[0] = 1;
		for (size_t k = 0; k < sizeof(all) / sizeof(*all); k++) {
			cow_errno r = all[k](p, len);

			cr_assert(r == 0 || r == -EIO, "decoder %zu: %d", k, r);
		}
		free(p);
	}
}
