// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tools/cli/output.h"

#define SHOW_AFTER_MS 1000
#define REDRAW_MS 100
#define BAR_CELLS 30

struct progress {
	const char *label;
	bool visible, drawn;
	int64_t started_ms, last_ms;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct progress *progress_new(const char *label, bool quiet)
{
	struct progress *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->label = label;
	p->visible = !quiet && isatty(STDERR_FILENO);
	p->started_ms = now_ms();
	return p;
}

static void draw(struct progress *p, uint64_t done, uint64_t total, int64_t ms)
{
	char did[32], all[32], speed[32];
	char bar[BAR_CELLS + 1];
	int full = 0;

	output_bytes(done, did, sizeof(did));
	output_bytes(total, all, sizeof(all));
	output_bytes(ms > 0 ? (uint64_t)((double)done * 1000.0 / (double)ms) : 0, speed,
		     sizeof(speed));
	if (total)
		full = (int)((double)BAR_CELLS * (double)(done < total ? done : total) /
			     (double)total);
	for (int k = 0; k < BAR_CELLS; k++)
		bar[k] = k < full ? '#' : '.';
	bar[BAR_CELLS] = '\0';
	if (total)
		fprintf(stderr, "\r\033[K%s [%s] %s of %s, %s/s", p->label, bar, did, all, speed);
	else
		fprintf(stderr, "\r\033[K%s: %s, %s/s", p->label, did, speed);
	fflush(stderr);
}

void progress_set(struct progress *p, uint64_t done, uint64_t total)
{
	int64_t now;

	if (!p || !p->visible)
		return;
	now = now_ms();
	if (now - p->started_ms < SHOW_AFTER_MS || now - p->last_ms < REDRAW_MS)
		return;
	p->last_ms = now;
	p->drawn = true;
	draw(p, done, total, now - p->started_ms);
}

void progress_free(struct progress *p)
{
	if (p && p->drawn) {
		fputs("\r\033[K", stderr);
		fflush(stderr);
	}
	free(p);
}
