// SPDX-License-Identifier: Apache-2.0
/* power_lab: record a plan in a process of its own, cut the power, look what is left.
 *
 * The recorded process is this executable again, under the recorder (libpower_record.so beside it):
 * main() must begin with power_lab_work. Everything lives in a directory in memory if the machine
 * has one (/dev/shm), so that a cut takes milliseconds. */
#pragma once
#include "tests/lib/power_plan.h"
#include "tests/lib/power_replay.h"

struct power_lab {
	char dir[64];
	struct power_log *log;
	bool kv; /* the map in memory instead of RocksDB */
	const struct plan *p;
	const char *what; /* "random 17 60", "letters cws": how the child makes the same plan */
	int *acked;       /* [k] = newest operation acknowledged by the first k events, or -1 */
	int *begun;
	size_t cuts, failures;
};

/* True: this process was the recorded one; *ret is its exit status. */
bool power_lab_work(int *ret);
/* False: no recorder beside the executable. */
bool power_lab_ready(void);

/* Carry `what` out under the recorder and load the log. False with a word on stderr. */
bool power_lab_record(struct power_lab *lab, const char *what, bool kv);
/* Rebuild, open, look; in a child, so that a crash is a failure like any other. */
bool power_lab_cut(struct power_lab *lab, const struct power_cut *c, bool deep);
/* The power goes again while the store is being opened after `c` (recovery, then a gc): `cuts`
 * random moments of that. Not with the map in memory. */
void power_lab_cut_recovery(struct power_lab *lab, const struct power_cut *c, unsigned cuts);
void power_lab_release(struct power_lab *lab);

struct plan *power_lab_plan(const char *what);
