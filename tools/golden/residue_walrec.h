// SPDX-License-Identifier: Apache-2.0
/* residue_walrec: one record of the write-ahead log, taken apart for what is packed in it.
 *
 * Of any major version from 12 to 18; the magic number of the pages says which. What does not look
 * like a record is refused; lengths are checked, nothing outside the given bytes is read. */
#pragma once
#include "tools/golden/residue_parts.h"

struct walrec {
	struct reader *r;
	uint16_t magic;           /* of the page the record is in */
	struct chunk_list chunks; /* inserted ones; their bytes are in `bytes` */
	uint8_t *bytes;
	size_t n_bytes, bytes_room;
};

#define WALREC_NONE 0        /* no record begins here */
#define WALREC_MORE SIZE_MAX /* its end is not in these bytes */

/* Bytes of the record at `p`, with its padding, or one of the two above. */
size_t walrec_parse(struct walrec *w, const uint8_t *p, size_t len, bool last);
/* Look at the chunks gathered so far, and free. */
void walrec_release(struct walrec *w);
