// SPDX-License-Identifier: Apache-2.0
/* power_replay: the recorded directory as a power cut may leave it.
 *
 * A cut is a number of events: these had returned. What of them is durable follows from the syncs
 * among them; what is not durable may be there or not, and the caller chooses how:
 *
 *   EXT4    changes of names and of sizes, and punches, reach the disk in the order in which they
 *           were made (the journal); a sync of anything takes the journal along up to the last
 *           change of that file. XFS keeps to the same.
 *   STRICT  an entry of a directory may be missing until that directory was synced; the changes of
 *           one directory are lost from the end, those of two directories each for itself (RocksDB
 *           rests on no less: a table, then CURRENT). Sizes and punches of a file may be lost until
 *           that file was synced. A file may have grown without its bytes (zeroes).
 *
 * In both: bytes go by pages of 4 KiB; a page that was not synced is as it was after any of the
 * writes to it since. A rename is whole or not at all. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/power_log.h"

enum power_model { POWER_EXT4, POWER_STRICT };
enum power_loss {
	POWER_KEEP_ALL,
	POWER_KEEP_NONE,
	POWER_KEEP_PREFIX, /* everything up to a random event */
	POWER_KEEP_PAGES,  /* each page for itself */
	POWER_KEEP_FILES,  /* each file all or none */
	POWER_LOSSES
};

struct power_cut {
	size_t events; /* that had returned */
	enum power_model model;
	enum power_loss loss;
	uint64_t seed;
};

struct power_log;

/* NULL with a word on stderr: unreadable or damaged. A last event cut short is left out. */
struct power_log *power_log_open(const char *path);
void power_log_close(struct power_log *l);
size_t power_log_count(const struct power_log *l);
const struct power_event *power_log_event(const struct power_log *l, size_t k);
const uint8_t *power_log_data(const struct power_log *l, size_t k);
void power_log_print(const struct power_log *l, size_t first, size_t n); /* to stderr */

/* Make the directory `out` (must not exist) as it is after the cut. `base`: a copy of the directory
 * from before the recording; NULL when it was empty. -errno, with a word on stderr. */
int power_replay(const struct power_log *l, const struct power_cut *c, const char *base,
		 const char *out);

/* splitmix64 */
uint64_t power_random(uint64_t *state);
