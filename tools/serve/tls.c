// SPDX-License-Identifier: Apache-2.0
/* tls: TLS of clients ends here, as a layer of its own.
 *
 * A pump per encrypted client: the socket with TLS on one side, a socket pair on the other; the
 * rest of serve sees the pair and knows nothing of TLS but the host name that was asked for. What
 * the pump holds is bounded each way.
 *
 * SCRAM goes through. Channel binding binds to the certificate that the client sees, so it goes
 * through where the server of the branch has TLS with the very certificate that we have: then there
 * is a second pump, which speaks TLS to the server (dial.c). Elsewhere the server is spoken to in
 * the clear, does not offer channel binding, and a client that requires it fails and says so. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "store/log.h"
#include "tools/serve/conn.h"
#include "tools/serve/tls.h"

#define HELD_MAX (128u << 10) /* bytes each way; reading stops above */

struct serve_pump {
	TAILQ_ENTRY(serve_pump) link;
	struct serve_tls *tls;
	struct serve_conn *conn; /* NULL: it is gone */
	bool of_server;          /* outside is the server, not the client */
	struct bufferevent *outside, *inside;
	bool greeted; /* of a server: the handshake is over */
	bool ending;  /* one side is over: flush the other, then end */
};

struct serve_tls {
	SSL_CTX *context, *to_server;
	TAILQ_HEAD(, serve_pump) pumps;
};

/* --- the pump --- */

static void pump_free(struct serve_pump *p)
{
	if (p->conn && p->of_server)
		p->conn->server_pump = NULL;
	else if (p->conn)
		p->conn->pump = NULL;
	TAILQ_REMOVE(&p->tls->pumps, p, link);
	bufferevent_free(p->outside);
	bufferevent_free(p->inside);
	free(p);
}

void serve_tls_forget(struct serve_pump *p)
{
	p->conn = NULL;
}

static struct bufferevent *other(struct serve_pump *p, struct bufferevent *bev)
{
	return bev == p->outside ? p->inside : p->outside;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct serve_pump *p = arg;
	struct bufferevent *to = other(p, bev);

	if (p->ending)
		return;
	bufferevent_write_buffer(to, bufferevent_get_input(bev));
	if (evbuffer_get_length(bufferevent_get_output(to)) > HELD_MAX)
		bufferevent_disable(bev, EV_READ);
}

/* Everything for `bev` has left. */
static void on_flushed(struct bufferevent *bev, void *arg)
{
	struct serve_pump *p = arg;

	if (p->ending)
		pump_free(p);
	else
		bufferevent_enable(other(p, bev), EV_READ);
}

static void note_name(struct serve_pump *p)
{
	const char *name =
	    SSL_get_servername(bufferevent_openssl_get_ssl(p->outside), TLSEXT_NAMETYPE_host_name);

	if (p->conn && name)
		snprintf(p->conn->sni, sizeof(p->conn->sni), "%s", name);
}

/* Does the server have our certificate? */
static bool has_ours(struct serve_pump *p)
{
	X509 *theirs = SSL_get1_peer_certificate(bufferevent_openssl_get_ssl(p->outside));
	X509 *ours = SSL_CTX_get0_certificate(p->tls->context);
	bool same = theirs && ours && X509_cmp(theirs, ours) == 0;

	X509_free(theirs);
	return same;
}

/* Of a server: it stands, or failed before it stood. */
static void shook_hands(struct serve_pump *p, bool done)
{
	struct serve_conn *c = p->conn;
	bool ours = done && has_ours(p);

	p->greeted = true;
	if (!ours)
		pump_free(p);
	if (c)
		serve_dial_encrypted(c, ours);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct serve_pump *p = arg;
	struct bufferevent *to = other(p, bev);

	if (p->of_server && !p->greeted) {
		shook_hands(p, what & BEV_EVENT_CONNECTED);
		return;
	}
	if (what & BEV_EVENT_CONNECTED) {
		note_name(p);
		return;
	}
	if (p->ending || evbuffer_get_length(bufferevent_get_output(to)) == 0) {
		pump_free(p);
		return;
	}
	p->ending = true;
	bufferevent_disable(bev, EV_READ | EV_WRITE);
	bufferevent_disable(to, EV_READ);
}

/* Takes over `outside` and `inside` when it is made. */
static struct serve_pump *pump_new(struct serve_conn *c, bool of_server, int outside, int inside)
{
	struct serve *s = c->serve;
	SSL *ssl = SSL_new(of_server ? s->tls->to_server : s->tls->context);
	struct serve_pump *p = ssl ? calloc(1, sizeof(*p)) : NULL;

	if (!p) {
		SSL_free(ssl);
		return NULL;
	}
	p->tls = s->tls;
	p->conn = c;
	p->of_server = of_server;
	/* Frees `ssl` too. */
	p->outside = bufferevent_openssl_socket_new(s->base, outside, ssl,
						    of_server ? BUFFEREVENT_SSL_CONNECTING
							      : BUFFEREVENT_SSL_ACCEPTING,
						    BEV_OPT_CLOSE_ON_FREE);
	p->inside =
	    p->outside ? bufferevent_socket_new(s->base, inside, BEV_OPT_CLOSE_ON_FREE) : NULL;
	if (!p->inside) {
		if (p->outside)
			bufferevent_free(p->outside);
		free(p);
		return NULL;
	}
	bufferevent_openssl_set_allow_dirty_shutdown(p->outside, 1);
	bufferevent_setcb(p->outside, on_read, on_flushed, on_event, p);
	bufferevent_setcb(p->inside, on_read, on_flushed, on_event, p);
	TAILQ_INSERT_TAIL(&s->tls->pumps, p, link);
	bufferevent_enable(p->outside, EV_READ | EV_WRITE);
	bufferevent_enable(p->inside, EV_READ | EV_WRITE);
	return p;
}

/* *socket becomes the decrypted side of what it was. */
static cow_errno wrap(struct serve_conn *c, bool of_server, int *socket, struct serve_pump **ret)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	*ret = pump_new(c, of_server, *socket, ends[0]);
	if (!*ret) {
		close(ends[0]);
		close(ends[1]);
		return -ENOMEM;
	}
	*socket = ends[1];
	return 0;
}

cow_errno serve_tls_wrap(struct serve_conn *c)
{
	cow_errno r = wrap(c, false, &c->client, &c->pump);

	c->encrypted |= r == 0;
	return r;
}

cow_errno serve_tls_wrap_server(struct serve_conn *c)
{
	return wrap(c, true, &c->server, &c->server_pump);
}

/* --- the certificate --- */

/* What libpq of PostgreSQL 17 asks for when it begins with TLS at once. */
static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
			   const unsigned char *offered, unsigned offered_n, void *arg)
{
	static const unsigned char ours[] = "\x0apostgresql";
	unsigned char *chosen;

	if (SSL_select_next_proto(&chosen, ret_n, ours, sizeof(ours) - 1, offered, offered_n) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static cow_errno load(SSL_CTX *context, const struct serve_options *o, struct cow_error *e)
{
	char why[256];

	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	if (SSL_CTX_use_certificate_chain_file(context, o->cert) == 1 &&
	    SSL_CTX_use_PrivateKey_file(context, o->key, SSL_FILETYPE_PEM) == 1 &&
	    SSL_CTX_check_private_key(context) == 1)
		return 0;
	ERR_error_string_n(ERR_get_error(), why, sizeof(why));
	cow_fail(e, -EINVAL, "cannot use the certificate %s with the key %s: %s", o->cert, o->key,
		 why);
	return cow_hint(e, -EINVAL, "Both are files in PEM format, and belong together.");
}

cow_errno serve_tls_open(struct serve *s, struct cow_error *e)
{
	cow_errno r;

	if (!s->o->cert)
		return 0;
	s->tls = calloc(1, sizeof(*s->tls));
	if (!s->tls)
		return cow_fail(e, -ENOMEM, "no memory for TLS");
	TAILQ_INIT(&s->tls->pumps);
	s->tls->context = SSL_CTX_new(TLS_server_method());
	/* Whom we reach on a loopback address of our own needs no certificate to be known. */
	s->tls->to_server = SSL_CTX_new(TLS_client_method());
	r = s->tls->context && s->tls->to_server ? load(s->tls->context, s->o, e)
						 : cow_fail(e, -ENOMEM, "no memory for TLS");
	return r;
}

void serve_tls_close(struct serve *s)
{
	struct serve_pump *p;

	if (!s->tls)
		return;
	while ((p = TAILQ_FIRST(&s->tls->pumps)))
		pump_free(p);
	SSL_CTX_free(s->tls->context);
	SSL_CTX_free(s->tls->to_server);
	free(s->tls);
	s->tls = NULL;
}
