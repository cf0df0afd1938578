// SPDX-License-Identifier: Apache-2.0
/* report: what a publish found out, as JSON for programs and as a page for people.
 *
 * Kept in the store: STORE/golden/NAME.ID.json and .md ('/' of a name is '_'), for the owner of the
 * store. It holds names of tables, counts and times, never a value. */
#pragma once
#include <jansson.h>

#include "store/error.h"
#include "tools/golden/residue.h"

/* Sums and hits of a scan: files bytes unpacked unpacked_bytes toasted wal_records wal_images
 * originals_found detected allowed ms hits[{kind what relation file offset place count}]. NULL
 * without memory. */
json_t *residue_json(const struct residue_result *r);

/* The page for people. Allocated; NULL without memory. */
char *report_page(const json_t *report);

/* `name` of the pointer, `id` of the image or "failed". */
cow_errno report_write(const char *store, const char *name, const char *id, const json_t *report,
		       struct cow_error *e);
/* *ret is owned by the caller. -ENOENT no such report, -EINVAL it is damaged. */
cow_errno report_read(const char *store, const char *name, const char *id, json_t **ret,
		      struct cow_error *e);
void report_remove(const char *store, const char *name, const char *id);
