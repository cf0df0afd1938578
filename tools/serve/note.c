// SPDX-License-Identifier: Apache-2.0
/* note: what the server of a branch did, and why, in the words of its history. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "tools/serve/conn.h"

/* Who connected: role and program as they call themselves, and from where. */
static void describe(const struct serve_conn *c, char *buf, size_t size)
{
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof(from);
	char host[INET6_ADDRSTRLEN] = "";
	struct startup s = {0};
	const void *address = NULL;

	if (!c->local && getpeername(c->client, (struct sockaddr *)&from, &len) == 0)
		address = from.ss_family == AF_INET6
			      ? (const void *)&((struct sockaddr_in6 *)&from)->sin6_addr
			      : (const void *)&((struct sockaddr_in *)&from)->sin_addr;
	if (!address || !inet_ntop(from.ss_family, address, host, sizeof(host)))
		snprintf(host, sizeof(host), "this machine");
	startup_parse(c->said, c->said_n, false, &s);
	snprintf(buf, size, "a client connected: %s%s%s from %s", s.user ? s.user : "",
		 s.application && *s.application ? " with " : "",
		 s.application ? s.application : "", host);
}

void serve_note_why(struct serve_branch *b, enum serve_event event, const struct serve_conn *c)
{
	const double s = (double)b->suspend_ms / 1000;

	if (b->because == b->why)
		return;
	if (b->because)
		snprintf(b->why, sizeof(b->why), "%s", b->because);
	else if (event == SERVE_CONNECT && c)
		describe(c, b->why, sizeof(b->why));
	else if (event == SERVE_QUIET)
		snprintf(b->why, sizeof(b->why), "without clients for %g s", s);
	else if (event == SERVE_DORMANT)
		snprintf(b->why, sizeof(b->why), "its %u clients did nothing for %g s",
			 serve_clients(b), s);
	else
		snprintf(b->why, sizeof(b->why), "by hand");
}

static void add(const struct serve_branch *b, const char *event, const char *message)
{
	if (!b->removed)
		history_add(b->serve->o->store, b->id, event, message);
}

void serve_note_started(const struct serve_branch *b)
{
	char text[HISTORY_MESSAGE + 32];

	snprintf(text, sizeof(text), "%d ms: %s", b->start_took_ms, b->why);
	add(b, "started", text);
}

static void add_failed(const struct serve_branch *b)
{
	char text[HISTORY_MESSAGE];

	snprintf(text, sizeof(text), "%u times in a row; cowfs wake tries again", b->failures);
	add(b, "failed", text);
}

void serve_note_no_start(const struct serve_branch *b, bool gave_up)
{
	char text[sizeof(b->reason.text) + HISTORY_MESSAGE];
	const char *last = strrchr(b->reason.text, '\n');

	/* Of the end of a log that is quoted there, the last line says most. */
	snprintf(text, sizeof(text), "%.*s%s%s", (int)strcspn(b->reason.text, "\n"), b->reason.text,
		 last ? " " : "", last ? last + 1 : "");
	add(b, "no start", text);
	if (gave_up)
		add_failed(b);
}

void serve_note_ended(const struct serve_branch *b, bool asked, bool crash, bool gave_up)
{
	char text[HISTORY_MESSAGE];

	/* The reason goes on with the end of a log. */
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(b->reason.text, ";"), b->reason.text);
	if (crash)
		add(b, "crashed", text);
	else if (asked)
		add(b, b->state == SERVE_STOPPING ? "stopped" : "suspended", b->why);
	else
		add(b, "ended", "not by cowfs serve");
	if (gave_up)
		add_failed(b);
}
