// SPDX-License-Identifier: Apache-2.0
/* The screen of cowfs top (the only file that includes ncurses). */
#include <curses.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/cleanup.h"
#include "tools/cli/top.h"

#define NAME_MIN 12

struct screen {
	json_t *look;
	int first; /* row at the top */
	bool done;
};

/* "-" for what is not known. */
static void bytes_text(const json_t *v, char *buf, size_t size)
{
	if (json_is_integer(v))
		output_bytes((uint64_t)json_integer_value(v), buf, size);
	else
		snprintf(buf, size, "-");
}

static void number_text(const json_t *v, const char *format, char *buf, size_t size)
{
	if (json_is_number(v))
		snprintf(buf, size, format, json_number_value(v));
	else
		snprintf(buf, size, "-");
}

static void labels_text(const json_t *labels, char *buf, size_t size)
{
	size_t k, used = 0;
	json_t *v;

	buf[0] = '\0';
	json_array_foreach (labels, k, v)
		if (used < size)
			used += (size_t)snprintf(buf + used, size - used, "%s%s", k ? "," : "",
						 json_string_value(v));
}

static void draw_head(const struct screen *s)
{
	size_t n = json_array_size(json_object_get(s->look, "branches"));
	char unique[32], tps[32];

	bytes_text(json_object_get(s->look, "unique_bytes"), unique, sizeof(unique));
	number_text(json_object_get(s->look, "tps"), "%.0f", tps, sizeof(tps));
	mvprintw(0, 0, "cowfs top  %.19s  %s", json_string_value(json_object_get(s->look, "at")),
		 json_string_value(json_object_get(s->look, "store")));
	clrtoeol();
	mvprintw(1, 0, "%zu branches, %lld running, %lld connections, %s tps, %s unique", n,
		 (long long)json_integer_value(json_object_get(s->look, "running")),
		 (long long)json_integer_value(json_object_get(s->look, "connections")), tps,
		 unique);
	clrtoeol();
}

/* A name that does not fit ends in "~"; narrow terminals lose columns from the right. */
static void draw_row(int y, const char *name, const char *state, const char *connections,
		     const char *tps, const char *unique, const char *labels)
{
	int width = COLS - 44 > NAME_MIN ? COLS - 44 : NAME_MIN;
	char line[1024];

	if (width > 60)
		width = 60;
	snprintf(line, sizeof(line), "%-*.*s%s %-10s %6s %9s %12s  %s", width, width, name,
		 strlen(name) > (size_t)width ? "~" : " ", state, connections, tps, unique, labels);
	mvaddnstr(y, 0, line, COLS);
	clrtoeol();
}

static void draw(struct screen *s)
{
	json_t *rows = json_object_get(s->look, "branches"), *row;
	int n = (int)json_array_size(rows), room = LINES - 4, y = 4;

	if (s->first > n - room)
		s->first = n - room;
	if (s->first < 0)
		s->first = 0;
	erase();
	draw_head(s);
	attron(A_REVERSE);
	draw_row(3, "BRANCH", "STATE", "CONN", "TPS", "UNIQUE", "LABELS");
	mvchgat(3, 0, -1, A_REVERSE, 0, NULL);
	attroff(A_REVERSE);
	for (int k = s->first; k < n && y < LINES; k++, y++) {
		char connections[32], tps[32], unique[32], labels[64];

		row = json_array_get(rows, (size_t)k);
		number_text(json_object_get(row, "connections"), "%.0f", connections,
			    sizeof(connections));
		number_text(json_object_get(row, "tps"), "%.1f", tps, sizeof(tps));
		bytes_text(json_object_get(row, "unique_bytes"), unique, sizeof(unique));
		labels_text(json_object_get(row, "labels"), labels, sizeof(labels));
		draw_row(y, json_string_value(json_object_get(row, "name")),
			 json_string_value(json_object_get(row, "current_state")), connections, tps,
			 unique, labels);
	}
	mvaddnstr(2, 0,
		  n > room ? "q: end   up, down, page up, page down: more branches" : "q: end",
		  COLS);
	refresh();
}

static void on_key(struct screen *s, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
		s->done = true;
		break;
	case KEY_UP:
	case 'k':
		s->first--;
		break;
	case KEY_DOWN:
	case 'j':
		s->first++;
		break;
	case KEY_PPAGE:
		s->first -= LINES - 4;
		break;
	case KEY_NPAGE:
	case ' ':
		s->first += LINES - 4;
		break;
	case KEY_HOME:
		s->first = 0;
		break;
	default: /* KEY_RESIZE: drawn anew anyway */
		break;
	}
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until the next look is due: keys, and changes of size, are answered at once. */
static void attend(struct screen *s, int64_t until)
{
	while (!s->done) {
		int64_t left = until - now_ms();
		int key;

		if (left <= 0)
			return;
		timeout((int)left);
		key = getch();
		if (key == ERR)
			continue;
		on_key(s, key);
		draw(s);
	}
}

cow_errno top_screen(struct top *t, struct command_call *call, unsigned interval_ms,
		     uint64_t rounds)
{
	SCREEN *term = newterm(NULL, stdout, stdin);
	struct screen s = {0};
	cow_errno r = 0;

	if (!term) {
		cow_fail(&call->error, -ENOTTY, "this terminal is not known");
		return cow_hint(&call->error, -ENOTTY, "Set TERM, or use --once.");
	}
	set_term(term);
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	for (uint64_t k = 0; !s.done && (rounds == 0 || k < rounds); k++) {
		int64_t began = now_ms();
		json_t *look = NULL;

		r = top_look(t, call, &look);
		if (r < 0)
			break;
		json_decref(s.look);
		s.look = look;
		draw(&s);
		/* The first look has no transactions per second: the second comes soon. */
		attend(&s, began + (k == 0 && interval_ms > 1000 ? 1000 : interval_ms));
	}
	endwin();
	delscreen(term);
	json_decref(s.look);
	return r;
}
