// SPDX-License-Identifier: Apache-2.0
/* route: which branch a client wants, and whether it may have it. */
#include <stdlib.h>
#include <string.h>

#include "tools/serve/conn.h"

/* The label before the first dot of the host name that TLS was asked for. */
static const char *label_of(const struct serve_conn *c, char *buf, size_t size)
{
	snprintf(buf, size, "%.*s", (int)strcspn(c->sni, "."), c->sni);
	return strchr(c->sni, '.') ? buf : "";
}

/* --- cancelling --- */

static struct serve_branch *holder_of_key(struct serve *s, const struct startup *request)
{
	struct serve_conn *c;

	TAILQ_FOREACH (c, &s->conns, link)
		if (c->key.has_key && c->key.pid == request->cancel_pid &&
		    c->key.key_n == 4 + request->cancel_key_length &&
		    memcmp(c->key.key + 4, request->cancel_key, request->cancel_key_length) == 0)
			return c->branch;
	return NULL;
}

static void cancel(struct serve_conn *c, const struct startup *s)
{
	struct serve_branch *b = holder_of_key(c->serve, s);

	c->cancels = true;
	/* On its own port the server decides; it knows sessions that we do not. */
	if (!b)
		b = c->branch;
	if (!b || (b->state != SERVE_RUNNING && b->state != SERVE_IDLE)) {
		serve_conn_free(c);
		return;
	}
	if (!c->branch) {
		c->branch = b;
		b->refs++;
	}
	if (c->branch != b) {
		serve_conn_free(c);
		return;
	}
	c->said_n = s->length;
	serve_dial(c);
}

/* --- a session --- */

static struct serve_branch *find(struct serve_conn *c, const struct startup *s)
{
	char label[sizeof(c->sni)], message[COW_BRANCH_MAX + 128];
	const char *wanted = s->branch[0] ? s->branch : label_of(c, label, sizeof(label));
	struct serve_branch *b;

	/* At the address of a branch nothing else says which one: most of its clients do not come
	 * past us (straight.c), and this one is to find what they find. */
	if (c->branch)
		return c->branch;
	if (!wanted[0]) {
		serve_conn_refuse(c, "08004", "this port serves many branches, and none was named",
				  "Connect with options=--cowfs.branch=NAME, or as USER@NAME.");
		return NULL;
	}
	b = serve_branch_match(c->serve, wanted);
	if (b)
		return b;
	snprintf(message, sizeof(message), "branch \"%s\" does not exist", wanted);
	serve_conn_refuse(c, "3D000", message, "See them all: cowfs branch list");
	return NULL;
}

/* A probe starts nothing and keeps nothing awake: we know the answer. */
static void answer_probe(struct serve_conn *c, const struct serve_branch *b)
{
	char message[COW_BRANCH_MAX + 64];
	bool rejects = b->state == SERVE_STOPPED || b->state == SERVE_STOPPING ||
		       b->state == SERVE_FAILED || b->doomed;

	snprintf(message, sizeof(message), "branch \"%s\" is %s", b->name,
		 serve_state_name(b->state));
	/* To libpq any error but 57P03 means a server that takes connections. */
	serve_conn_refuse(c, rejects ? "57P03" : "57P05", message, NULL);
}

/* What named the branch is not for the server. */
static bool strip(struct serve_conn *c, const struct startup *s)
{
	uint8_t *packet = malloc(STARTUP_MAX);
	size_t n, more = c->said_n - s->length;

	if (!packet)
		return false;
	n = startup_rewrite(c->said, s, packet);
	memcpy(packet + n, c->said + s->length, more);
	free(c->said);
	c->said = packet;
	c->said_n = n + more;
	return true;
}

/* Those who wait for the server count: else a burst would pass the limit while it starts. */
static void refuse_crowd(struct serve_conn *c, const struct serve_branch *b)
{
	char message[COW_BRANCH_MAX + 128], hint[COW_BRANCH_MAX + 160];

	snprintf(message, sizeof(message),
		 "too many connections for branch \"%s\": %u are open, and %u are its limit",
		 b->name, serve_clients(b) + b->held, b->max_connections);
	snprintf(hint, sizeof(hint),
		 "Use a smaller pool, close idle sessions, or raise the limit: "
		 "cowfs branch set %s --max-connections N",
		 b->name);
	serve_conn_refuse(c, "53300", message, hint);
}

static void session(struct serve_conn *c, const struct startup *s)
{
	bool own_port = c->branch;
	struct serve_branch *b = find(c, s);
	char message[COW_BRANCH_MAX + 64];

	if (!b)
		return;
	if (!c->branch) {
		c->branch = b;
		b->refs++;
	}
	if (startup_is_probe(s)) {
		answer_probe(c, b);
	} else if (b->doomed || c->serve->ending) {
		snprintf(message, sizeof(message), "branch \"%s\" %s", b->name,
			 b->doomed ? "has expired" : "is not served any more");
		serve_conn_refuse(c, "57P03", message, NULL);
	} else if (b->max_connections && serve_clients(b) + b->held >= b->max_connections) {
		refuse_crowd(c, b);
	} else if (!own_port && !strip(c, s)) {
		serve_conn_free(c);
	} else {
		serve_branch_event(b, SERVE_CONNECT, c);
	}
}

void serve_route(struct serve_conn *c, const struct startup *s)
{
	if (s->kind == STARTUP_CANCEL)
		cancel(c, s);
	else
		session(c, s);
}
