// SPDX-License-Identifier: Apache-2.0
/* meta: the store's own marks in the map, and what "durable" means for a batch. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/bytes.h"
#include "store/cleanup.h"
#include "store/core.h"

cow_errno cow_meta_get(struct cow_store *s, const char *what, uint64_t *ret)
{
	CLEANUP(cow_buf_release) struct cow_buf v = {0};
	struct cow_key k = cow_key_meta(what);
	cow_errno r = cow_kv_get(s->kv, k.b, k.len, &v);

	*ret = 0;
	if (r == -ENOENT)
		return 0;
	if (r == 0 && v.len != 8)
		r = -EIO;
	if (r == 0)
		*ret = cow_get64(v.data);
	return r;
}

void cow_meta_put(struct cow_batch *b, const char *what, uint64_t v)
{
	struct cow_key k = cow_key_meta(what);
	uint8_t bytes[8];

	cow_put64(bytes, v);
	cow_batch_put(b, k.b, k.len, bytes, sizeof(bytes));
}

cow_errno cow_store_commit(struct cow_store *s, const struct cow_batch *b)
{
	uint64_t seq = atomic_load(&s->name_seq); /* all of these were put before this write */
	cow_errno r = b->count ? cow_kv_write(s->kv, b, true) : s->kv->ops->sync(s->kv);

	if (r < 0)
		return r;
	atomic_fetch_add(&s->commits, 1);
	cow_raise(&s->synced_seq, seq);
	return 0;
}

cow_errno cow_store_commit_names(struct cow_store *s, uint64_t seq)
{
	const struct cow_batch none = {0};

	return atomic_load(&s->synced_seq) >= seq ? 0 : cow_store_commit(s, &none);
}

/* --- notes --- */

static struct cow_key key_note(const char *what)
{
	char name[48];

	snprintf(name, sizeof(name), "note.%.32s", what);
	return cow_key_meta(name);
}

cow_errno cow_store_note_get(struct cow_store *s, const char *what, char **ret)
{
	CLEANUP(cow_buf_release) struct cow_buf v = {0};
	struct cow_key k = key_note(what);
	cow_errno r = cow_kv_get(s->kv, k.b, k.len, &v);

	*ret = NULL;
	if (r == -ENOENT)
		return 0;
	if (r == 0 && !(*ret = strndup((const char *)v.data, v.len)))
		r = -ENOMEM;
	return r;
}

cow_errno cow_store_note_put(struct cow_store *s, const char *what, const char *text)
{
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	struct cow_key k = key_note(what);

	cow_batch_put(&b, k.b, k.len, text, strlen(text));
	return cow_store_commit(s, &b);
}
