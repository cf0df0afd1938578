// SPDX-License-Identifier: Apache-2.0
/* census: how many clients each server has that came past the proxy.
 *
 * Over the unix socket: the connections to the path of the server's socket, without those that we
 * relay. Of ours some may be gone already where the kernel has them, never the other way round: who
 * came straight may be overlooked beside them, and while we have any the server does not sleep.
 * Over TCP: the connections to its port from and to 127.0.0.1 (steer.h) whose socket is not ours,
 * by inode. One that waits to be accepted, by whomever, counts. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "store/log.h"
#include "tools/serve/conn.h"
#include "tools/serve/diag.h"
#include "tools/serve/straight.h"

#define TRIES 5 /* a dump that is torn is asked for again */

struct place {
	struct sockaddr_un at;
	struct sockaddr_in port;
	struct serve_branch *branch;
	unsigned local, tcp; /* connections */
	bool listens, port_listens;
};

struct census {
	struct place *places; /* by path */
	size_t n;
	uint64_t *ours; /* inodes, ordered */
	size_t ours_n;
};

static int compare_paths(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return strcmp(x->at.sun_path, y->at.sun_path);
}

static int compare_inodes(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* --- who is looked for --- */

static bool find_places(struct serve *s, struct census *ret)
{
	struct serve_branch *b;
	size_t n = 0;

	TAILQ_FOREACH (b, &s->branches, link)
		n += serve_straight_is_up(b);
	ret->places = calloc(n + 1, sizeof(*ret->places));
	if (!ret->places)
		return false;
	TAILQ_FOREACH (b, &s->branches, link) {
		struct place *p = &ret->places[ret->n];

		if (!serve_straight_is_up(b))
			continue;
		p->branch = b;
		serve_straight_place(b, &p->at, &p->port);
		ret->n++;
	}
	qsort(ret->places, ret->n, sizeof(*ret->places), compare_paths);
	return true;
}

static bool find_ours(struct serve *s, struct census *ret)
{
	const struct serve_conn *c;
	size_t n = 0;

	TAILQ_FOREACH (c, &s->conns, link)
		n += c->inode != 0;
	ret->ours = calloc(n + 1, sizeof(*ret->ours));
	if (!ret->ours)
		return false;
	TAILQ_FOREACH (c, &s->conns, link)
		if (c->inode)
			ret->ours[ret->ours_n++] = c->inode;
	qsort(ret->ours, ret->ours_n, sizeof(*ret->ours), compare_inodes);
	return true;
}

/* --- counting --- */

static void on_local(void *arg, const struct serve_diag_local *x)
{
	struct census *all = arg;
	struct place key, *found;

	if (x->path_n >= sizeof(key.at.sun_path))
		return;
	memcpy(key.at.sun_path, x->path, x->path_n);
	key.at.sun_path[x->path_n] = '\0';
	found = bsearch(&key, all->places, all->n, sizeof(key), compare_paths);
	if (found && x->listens)
		found->listens = true;
	else if (found)
		found->local++;
}

static void on_tcp(void *arg, const struct serve_diag_tcp *x)
{
	struct census *all = arg;
	const uint64_t inode = x->inode;

	if (!x->listens &&
	    (x->local != htonl(INADDR_LOOPBACK) || x->remote != htonl(INADDR_LOOPBACK) ||
	     (inode && bsearch(&inode, all->ours, all->ours_n, sizeof(inode), compare_inodes))))
		return;
	for (size_t k = 0; k < all->n; k++) {
		struct place *p = &all->places[k];

		if (!x->listens)
			p->tcp += x->port == p->branch->port;
		else if (x->port == ntohs(p->port.sin_port) && x->local == p->port.sin_addr.s_addr)
			p->port_listens = true;
	}
}

static cow_errno dump(const struct serve *s, struct census *all)
{
	cow_errno r;

	for (size_t k = 0; k < all->n; k++) {
		all->places[k].local = all->places[k].tcp = 0;
		all->places[k].listens = all->places[k].port_listens = false;
	}
	r = serve_diag_local(on_local, all);
	return r == 0 && s->steer ? serve_diag_tcp(on_tcp, all) : r;
}

static unsigned relayed_to(const struct serve_branch *b)
{
	const struct serve_conn *c;
	unsigned n = 0;

	TAILQ_FOREACH (c, &b->serve->conns, link)
		n += c->branch == b && c->local && c->server >= 0;
	return n;
}

static void note(const struct place *p)
{
	struct serve_branch *b = p->branch;
	unsigned relayed = b->clients ? relayed_to(b) : 0;
	unsigned local = p->local > relayed ? p->local - relayed : 0;

	b->straight.counted = p->listens && (p->port_listens || !b->serve->steer);
	b->straight.clients = b->straight.was ? local + p->tcp : 0;
}

void serve_census(struct serve *s)
{
	struct census all = {0};
	cow_errno r = find_places(s, &all) && find_ours(s, &all) ? -EAGAIN : -ENOMEM;

	for (int k = 0; k < TRIES && r == -EAGAIN; k++)
		r = dump(s, &all);
	if (r < 0)
		cow_log_debug("sockets cannot be counted: %s", strerror(-r));
	for (size_t k = 0; k < all.n; k++) {
		if (r == 0)
			note(&all.places[k]);
		else
			all.places[k].branch->straight.counted = false;
	}
	free(all.places);
	free(all.ours);
}
