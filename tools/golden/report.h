// SPDX-License-Identifier: Apache-2.0
/* report: what a publish found out, as JSON for programs and as a page for people. */
#pragma once
#include <jansson.h>

#include "store/error.h"
#include "tools/golden/residue.h"

/* Sums and hits of a scan: files bytes unpacked unpacked_bytes toasted wal_records wal_images
 * originals_found detected allowed ms hits[{kind what relation file offset place count}]. NULL
 * without memory. */
json_t *residue_json(const struct residue_result *r);
