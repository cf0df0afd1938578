// SPDX-License-Identifier: Apache-2.0
#include "store/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "store/os.h"

/* COMMIT is one line: the number, and "clean" after a clean stop. */
static cow_errno read_mark(struct cow_store *s, uint64_t *ret_number, bool *ret_clean)
{
	char text[64] = "", word[16] = "";
	cow_errno r = cow_os_read_small(s->dirfd, "COMMIT", text, sizeof(text));

	*ret_number = 0;
	*ret_clean = false;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (sscanf(text, "%" SCNu64 " %15s", ret_number, word) < 1)
		return -EIO;
	*ret_clean = strcmp(word, "clean") == 0;
	return 0;
}

static cow_errno write_mark(struct cow_store *s, bool clean)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%" PRIu64 "%s\n", (uint64_t)s->commit_number,
			 clean ? " clean" : "");

	return cow_os_replace(s->dirfd, "COMMIT", text, (size_t)n);
}

bool cow_clean_marked(struct cow_store *s)
{
	uint64_t number;
	bool clean;

	return read_mark(s, &number, &clean) == 0 && clean;
}

static cow_errno raise_number(struct cow_store *s)
{
	CLEANUP(cow_batch_release) struct cow_batch b = {0};

	cow_meta_put(&b, "commit", s->commit_number + 1);
	return cow_kv_write(s->kv, &b, true);
}

void cow_commit_number_keep(struct cow_store *s)
{
	uint64_t commits = atomic_exchange(&s->commits_kept, s->commits);

	if (commits == s->commits || raise_number(s) < 0)
		return;
	s->commit_number++;
	if (write_mark(s, false) < 0)
		cow_log_warn("the commit number could not be kept beside the map");
}

cow_errno cow_clean_mark(struct cow_store *s, bool on)
{
	return write_mark(s, on);
}

static int collect(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	if (klen == 17)
		cow_batch_del(arg, key, klen);
	return 0;
}

/* Their blocks have become garbage like any other that no name leads to. */
static cow_errno drop_orphans(struct cow_store *s)
{
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	struct cow_key k = cow_key_type('O');
	cow_errno r = s->kv->ops->scan(s->kv, k.b, k.len, NULL, 0, collect, &b);

	if (r == 0 && b.count) {
		cow_log_info("recovery: %zu unlinked files were open", b.count);
		r = cow_kv_write(s->kv, &b, false);
	}
	return r;
}

/* The epoch that a branch was writing is closed: what lies in its extent files outside the map is
 * then garbage of a closed epoch like any other, found and freed by gc. */
static int close_head(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct {
		struct cow_store *s;
		struct cow_batch *b;
	} *x = arg;
	uint64_t id = cow_key_number(key, 0);
	struct cow_lineage_rec rec;
	char dir[64];

	if (klen != 9 || cow_lineage_decode(val, vlen, &rec) < 0)
		return 0; /* verify names it */
	snprintf(dir, sizeof(dir), "ext/%016" PRIx64 "/%016" PRIx64, id, rec.head);
	if (faccessat(x->s->dirfd, dir, F_OK, 0) < 0)
		return 0;
	rec.head++;
	cow_lineage_put(x->b, id, &rec);
	return 0;
}

static cow_errno close_heads(struct cow_store *s)
{
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	struct {
		struct cow_store *s;
		struct cow_batch *b;
	} x = {s, &b};
	struct cow_key k = cow_key_type('L');
	cow_errno r = s->kv->ops->scan(s->kv, k.b, k.len, NULL, 0, close_head, &x);

	if (r == 0 && b.count) {
		cow_log_info("recovery: %zu open epochs closed", b.count);
		r = cow_kv_write(s->kv, &b, true);
	}
	return r;
}

cow_errno cow_recover(struct cow_store *s, bool clean, struct cow_error *e)
{
	uint64_t beside = 0, inside = 0;
	bool ignored;
	cow_errno r;

	if ((r = read_mark(s, &beside, &ignored)) < 0)
		return cow_fail(e, r, "%s/COMMIT is damaged", s->path);
	if ((r = cow_meta_get(s, "commit", &inside)) < 0)
		return cow_fail(e, r, "the map is damaged: no commit number");
	s->commit_number = COW_MAX(inside, beside);
	s->numbers_agree = inside >= beside;
	if (!s->numbers_agree)
		cow_log_error("recovery: the map is at commit %" PRIu64 ", %" PRIu64
			      " was acknowledged: it has lost changes; nothing will be freed; run "
			      "'cowfs verify'",
			      inside, beside);
	if (clean && s->numbers_agree)
		return 0;
	s->recovered = true;
	cow_log_info("recovery: the store was not closed; syncing the host file system");
	if (syncfs(s->dirfd) < 0)
		return cow_fail(e, -errno, "recovery: the host file system cannot be synced");
	if ((r = drop_orphans(s)) == 0)
		r = close_heads(s);
	cow_background_gc(s, 0); /* nobody knows any more what had been marked */
	if (r == 0)
		cow_log_info("recovery: done, at commit %" PRIu64, (uint64_t)s->commit_number);
	return r;
}
