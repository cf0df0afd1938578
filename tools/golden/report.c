// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/report.h"

#include "tools/daemon/json_text.h"

static json_t *hit_json(const struct residue_hit *h)
{
	return json_pack("{s:s,s:o,s:o,s:o,s:o,s:s,s:o}", "kind",
			 h->original ? "original" : "detected", "what", json_text(h->what),
			 "relation", h->where[0] ? json_text(h->where) : json_null(), "file",
			 json_text(h->file), "offset", json_count(h->offset), "place", h->place,
			 "count", json_count(h->count));
}

json_t *residue_json(const struct residue_result *r)
{
	json_t *hits = json_array();

	for (size_t k = 0; k < r->listed; k++)
		json_array_append_new(hits, hit_json(&r->hits[k]));
	return json_pack(
	    "{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "files", json_count(r->files),
	    "bytes", json_count(r->bytes), "unpacked", json_count(r->unpacked), "unpacked_bytes",
	    json_count(r->unpacked_bytes), "toasted", json_count(r->toasted), "wal_records",
	    json_count(r->wal_records), "wal_images", json_count(r->wal_images), "originals_found",
	    json_count(r->originals), "detected", json_count(r->detected), "allowed",
	    json_count(r->allowed), "ms", json_count(r->ms), "hits", hits);
}
