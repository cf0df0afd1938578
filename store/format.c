// SPDX-License-Identifier: Apache-2.0
/* format: keys and the fixed-size values. Pure: no I/O, no state. See format.h for the bytes;
 * runs and sums are in format_chunk.c. */
#include "store/format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/bytes.h"
#include "store/cleanup.h"

enum { VALUE_VERSION = 1, BRANCH_WITH_QUOTA = 2 };

static struct cow_key key_start(char type)
{
	struct cow_key k = {.len = 1, .prefix = 1};

	k.b[0] = (uint8_t)type;
	return k;
}

static void key_add(struct cow_key *k, uint64_t v)
{
	cow_put64(k->b + k->len, v);
	k->len += 8;
	k->prefix = k->len;
}

static void key_add_epoch(struct cow_key *k, uint64_t epoch)
{
	cow_put64(k->b + k->len, ~epoch);
	k->len += 8;
}

static void key_add_text(struct cow_key *k, const char *text)
{
	size_t n = strnlen(text, COW_NAME_MAX);

	memcpy(k->b + k->len, text, n);
	k->len += n;
	k->prefix = k->len;
}

struct cow_key cow_key_type(char type)
{
	return key_start(type);
}

struct cow_key cow_key_type1(char type, uint64_t lineage)
{
	struct cow_key k = key_start(type);

	key_add(&k, lineage);
	return k;
}

struct cow_key cow_key_type2(char type, uint64_t lineage, uint64_t second)
{
	struct cow_key k = cow_key_type1(type, lineage);

	key_add(&k, second);
	return k;
}

struct cow_key cow_key_meta(const char *what)
{
	struct cow_key k = key_start('M');

	key_add_text(&k, what);
	return k;
}

struct cow_key cow_key_branch(const char *name)
{
	struct cow_key k = key_start('B');

	key_add_text(&k, name);
	return k;
}

struct cow_key cow_key_deleted(uint64_t branch_id)
{
	return cow_key_type1('D', branch_id);
}

struct cow_key cow_key_snap(uint64_t lineage, uint64_t epoch)
{
	return cow_key_type2('S', lineage, epoch);
}

struct cow_key cow_key_lineage(uint64_t lineage)
{
	return cow_key_type1('L', lineage);
}

struct cow_key cow_key_orphan(uint64_t lineage, uint64_t ino)
{
	return cow_key_type2('O', lineage, ino);
}

struct cow_key cow_key_poison(uint64_t lineage, uint64_t ino)
{
	return cow_key_type2('P', lineage, ino);
}

struct cow_key cow_key_inode(uint64_t lineage, uint64_t ino, uint64_t epoch)
{
	struct cow_key k = cow_key_type2('I', lineage, ino);

	key_add_epoch(&k, epoch);
	return k;
}

struct cow_key cow_key_name(uint64_t lineage, uint64_t dir, const char *name, uint64_t epoch)
{
	struct cow_key k = cow_key_type2('N', lineage, dir);

	key_add_text(&k, name);
	k.b[k.len++] = 0;
	k.prefix = k.len;
	key_add_epoch(&k, epoch);
	return k;
}

struct cow_key cow_key_chunk(uint64_t lineage, uint64_t ino, uint64_t chunk, uint64_t epoch)
{
	struct cow_key k = cow_key_type2('C', lineage, ino);

	key_add(&k, chunk);
	key_add_epoch(&k, epoch);
	return k;
}

struct cow_key cow_key_sum(uint64_t lineage, uint64_t epoch, uint64_t ino, uint64_t chunk)
{
	struct cow_key k = cow_key_type2('X', lineage, epoch);

	key_add(&k, ino);
	key_add(&k, chunk);
	return k;
}

uint64_t cow_key_epoch(const uint8_t *key, size_t len)
{
	return ~cow_get64(key + len - 8);
}

uint64_t cow_key_number(const uint8_t *key, unsigned n)
{
	return cow_get64(key + 1 + 8 * (size_t)n);
}

/* --- values --- */

static cow_errno done(const struct cow_cur *c)
{
	return cow_cur_ok(c) ? 0 : -EIO;
}

static struct cow_cur begin(const void *data, size_t len)
{
	struct cow_cur c = cow_cur_of(data, len);

	if (cow_cur_uint(&c, 1) != VALUE_VERSION)
		c.failed = true;
	return c;
}

/* Text of `len` bytes into a fixed array; too long or with a NUL inside is damage. */
static void take_text(struct cow_cur *c, size_t len, char *out, size_t size)
{
	const uint8_t *at = len < size ? cow_cur_take(c, len) : NULL;

	if (!at || memchr(at, 0, len)) {
		c->failed = true;
		out[0] = '\0';
		return;
	}
	memcpy(out, at, len);
	out[len] = '\0';
}

cow_errno cow_lineage_encode(const struct cow_lineage_rec *v, struct cow_buf *out)
{
	uint8_t b[128], *p = b;
	size_t n = strnlen(v->boot, sizeof(v->boot) - 1);

	*p++ = VALUE_VERSION;
	p = cow_put64(p, v->parent);
	p = cow_put64(p, v->fork_epoch);
	p = cow_put64(p, v->head);
	p = cow_put64(p, v->root);
	*p++ = v->flags;
	p = cow_put64(p, (uint64_t)v->created_ns);
	*p++ = (uint8_t)n;
	memcpy(p, v->boot, n);
	return cow_buf_set(out, b, (size_t)(p - b) + n);
}

cow_errno cow_lineage_decode(const void *data, size_t len, struct cow_lineage_rec *out)
{
	struct cow_cur c = begin(data, len);

	out->parent = cow_cur_uint(&c, 8);
	out->fork_epoch = cow_cur_uint(&c, 8);
	out->head = cow_cur_uint(&c, 8);
	out->root = cow_cur_uint(&c, 8);
	out->flags = (uint8_t)cow_cur_uint(&c, 1);
	out->created_ns = (int64_t)cow_cur_uint(&c, 8);
	take_text(&c, cow_cur_uint(&c, 1), out->boot, sizeof(out->boot));
	if (out->head == 0 || (out->parent == 0) != (out->fork_epoch == 0))
		return -EIO;
	return done(&c);
}

void cow_branch_release(struct cow_branch_rec *v)
{
	free(v->settings);
	v->settings = NULL;
}

cow_errno cow_branch_encode(const struct cow_branch_rec *v, struct cow_buf *out)
{
	uint8_t b[80], *p = b;
	size_t n = v->settings ? strlen(v->settings) : 0;
	cow_errno r;

	*p++ = v->quota ? BRANCH_WITH_QUOTA : VALUE_VERSION;
	p = cow_put64(p, v->id);
	p = cow_put64(p, v->lineage);
	p = cow_put64(p, v->incarnation);
	p = cow_put64(p, v->parent_id);
	p = cow_put64(p, (uint64_t)v->created_ns);
	p = cow_put64(p, (uint64_t)v->reset_ns);
	p = cow_put64(p, (uint64_t)v->data_ns);
	*p++ = v->flags;
	if (v->quota)
		p = cow_put64(p, v->quota);
	p = cow_put32(p, (uint32_t)n);
	if ((r = cow_buf_set(out, b, (size_t)(p - b))) < 0)
		return r;
	return cow_buf_add(out, v->settings, n);
}

cow_errno cow_branch_decode(const void *data, size_t len, struct cow_branch_rec *out)
{
	bool quota = len > 0 && *(const uint8_t *)data == BRANCH_WITH_QUOTA;
	struct cow_cur c = quota ? cow_cur_of(data, len) : begin(data, len);
	const uint8_t *text;
	size_t n;

	out->settings = NULL;
	if (quota)
		cow_cur_uint(&c, 1);
	out->id = cow_cur_uint(&c, 8);
	out->lineage = cow_cur_uint(&c, 8);
	out->incarnation = cow_cur_uint(&c, 8);
	out->parent_id = cow_cur_uint(&c, 8);
	out->created_ns = (int64_t)cow_cur_uint(&c, 8);
	out->reset_ns = (int64_t)cow_cur_uint(&c, 8);
	out->data_ns = (int64_t)cow_cur_uint(&c, 8);
	out->flags = (uint8_t)cow_cur_uint(&c, 1);
	out->quota = quota ? cow_cur_uint(&c, 8) : 0;
	n = cow_cur_uint(&c, 4);
	text = cow_cur_take(&c, n);
	if (!cow_cur_ok(&c) || (quota && !out->quota) || memchr(text, 0, n))
		return -EIO;
	out->settings = strndup((const char *)text, n);
	return out->settings ? 0 : -ENOMEM;
}

cow_errno cow_deleted_encode(const struct cow_deleted_rec *v, struct cow_buf *out)
{
	CLEANUP(cow_buf_release) struct cow_buf branch = {0};
	uint8_t b[32 + COW_BRANCH_MAX], *p = b;
	size_t n = strnlen(v->name, COW_BRANCH_MAX);
	cow_errno r;

	*p++ = VALUE_VERSION;
	p = cow_put64(p, (uint64_t)v->deleted_ns);
	p = cow_put64(p, (uint64_t)v->until_ns);
	*p++ = v->flags;
	p = cow_put16(p, (uint16_t)n);
	memcpy(p, v->name, n);
	if ((r = cow_branch_encode(&v->branch, &branch)) < 0 ||
	    (r = cow_buf_set(out, b, (size_t)(p - b) + n)) < 0)
		return r;
	return cow_buf_add(out, branch.data, branch.len);
}

cow_errno cow_deleted_decode(const void *data, size_t len, struct cow_deleted_rec *out)
{
	struct cow_cur c = begin(data, len);

	out->branch.settings = NULL;
	out->deleted_ns = (int64_t)cow_cur_uint(&c, 8);
	out->until_ns = (int64_t)cow_cur_uint(&c, 8);
	out->flags = (uint8_t)cow_cur_uint(&c, 1);
	take_text(&c, cow_cur_uint(&c, 2), out->name, sizeof(out->name));
	if (c.failed)
		return -EIO;
	return cow_branch_decode(c.p, (size_t)(c.end - c.p), &out->branch);
}

cow_errno cow_snap_encode(const struct cow_snap_rec *v, struct cow_buf *out)
{
	uint8_t b[1024], *p = b;
	size_t nn = strnlen(v->name, COW_BRANCH_MAX);
	size_t mn = strnlen(v->message, sizeof(v->message) - 1);

	*p++ = VALUE_VERSION;
	p = cow_put64(p, v->branch_id);
	p = cow_put64(p, (uint64_t)v->created_ns);
	p = cow_put16(p, (uint16_t)nn);
	memcpy(p, v->name, nn);
	p = cow_put16(p + nn, (uint16_t)mn);
	memcpy(p, v->message, mn);
	return cow_buf_set(out, b, (size_t)(p - b) + mn);
}

cow_errno cow_snap_decode(const void *data, size_t len, struct cow_snap_rec *out)
{
	struct cow_cur c = begin(data, len);

	out->branch_id = cow_cur_uint(&c, 8);
	out->created_ns = (int64_t)cow_cur_uint(&c, 8);
	take_text(&c, cow_cur_uint(&c, 2), out->name, sizeof(out->name));
	take_text(&c, cow_cur_uint(&c, 2), out->message, sizeof(out->message));
	return done(&c);
}

/* Times outside the years 1678 to 2261 become the nearest one inside. */
static int64_t to_ns(struct timespec t)
{
	__int128 ns = (__int128)t.tv_sec * 1000000000 + t.tv_nsec;

	return ns < INT64_MIN ? INT64_MIN : ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
}

static struct timespec from_ns(int64_t ns)
{
	int64_t sec = ns / 1000000000, rest = ns % 1000000000;

	if (rest < 0) {
		rest += 1000000000;
		sec--;
	}
	return (struct timespec){.tv_sec = sec, .tv_nsec = rest};
}

void cow_inode_release(struct cow_inode_rec *v)
{
	free(v->target);
	v->target = NULL;
}

cow_errno cow_inode_encode(const struct cow_inode_rec *v, struct cow_buf *out)
{
	uint8_t b[160], *p = b;
	size_t n = v->target ? strlen(v->target) : 0;
	cow_errno r;

	*p++ = VALUE_VERSION;
	*p++ = v->flags;
	p = cow_put32(p, v->attr.mode);
	p = cow_put32(p, v->attr.uid);
	p = cow_put32(p, v->attr.gid);
	p = cow_put32(p, v->attr.nlink);
	p = cow_put64(p, v->attr.rdev);
	p = cow_put64(p, v->attr.size);
	p = cow_put64(p, v->attr.blocks);
	p = cow_put64(p, (uint64_t)to_ns(v->attr.atime));
	p = cow_put64(p, (uint64_t)to_ns(v->attr.mtime));
	p = cow_put64(p, (uint64_t)to_ns(v->attr.ctime));
	p = cow_put64(p, v->limit);
	p = cow_put64(p, v->origin_epoch);
	p = cow_put64(p, v->origin_blocks);
	p = cow_put16(p, (uint16_t)n);
	if ((r = cow_buf_set(out, b, (size_t)(p - b))) < 0)
		return r;
	return cow_buf_add(out, v->target, n);
}

cow_errno cow_inode_decode(const void *data, size_t len, struct cow_inode_rec *out)
{
	struct cow_cur c = begin(data, len);
	const uint8_t *text;
	size_t n;

	*out = (struct cow_inode_rec){.flags = (uint8_t)cow_cur_uint(&c, 1)};
	out->attr.mode = (uint32_t)cow_cur_uint(&c, 4);
	out->attr.uid = (uint32_t)cow_cur_uint(&c, 4);
	out->attr.gid = (uint32_t)cow_cur_uint(&c, 4);
	out->attr.nlink = (uint32_t)cow_cur_uint(&c, 4);
	out->attr.rdev = cow_cur_uint(&c, 8);
	out->attr.size = cow_cur_uint(&c, 8);
	out->attr.blocks = cow_cur_uint(&c, 8);
	out->attr.atime = from_ns((int64_t)cow_cur_uint(&c, 8));
	out->attr.mtime = from_ns((int64_t)cow_cur_uint(&c, 8));
	out->attr.ctime = from_ns((int64_t)cow_cur_uint(&c, 8));
	out->limit = cow_cur_uint(&c, 8);
	out->origin_epoch = cow_cur_uint(&c, 8);
	out->origin_blocks = cow_cur_uint(&c, 8);
	n = cow_cur_uint(&c, 2);
	text = cow_cur_take(&c, n);
	if (!cow_cur_ok(&c) || out->attr.size > COW_FILE_MAX ||
	    out->origin_blocks > COW_FILE_MAX / COW_BLOCK || memchr(text, 0, n))
		return -EIO;
	if (n && !(out->target = strndup((const char *)text, n)))
		return -ENOMEM;
	return 0;
}

cow_errno cow_nameval_encode(const struct cow_name_rec *v, struct cow_buf *out)
{
	uint8_t b[10] = {VALUE_VERSION};

	cow_put64(b + 1, v->ino);
	b[9] = (uint8_t)(v->type >> 12);
	return cow_buf_set(out, b, sizeof(b));
}

cow_errno cow_nameval_decode(const void *data, size_t len, struct cow_name_rec *out)
{
	struct cow_cur c = begin(data, len);

	out->ino = cow_cur_uint(&c, 8);
	out->type = (uint32_t)cow_cur_uint(&c, 1) << 12;
	return done(&c);
}
