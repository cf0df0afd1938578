// SPDX-License-Identifier: Apache-2.0
/* tls: TLS of clients, as a layer below conn.c. */
#pragma once
#include "tools/serve/parts.h"

struct serve_conn;
struct serve_pump;

/* Without a certificate there is no TLS, and s->tls stays NULL. -EINVAL bad files. */
cow_errno serve_tls_open(struct serve *s, struct cow_error *e);
void serve_tls_close(struct serve *s);

/* From now on the client speaks TLS: c->client becomes the decrypted side, c->pump what decrypts.
 * -errno; nothing has changed then. */
cow_errno serve_tls_wrap(struct serve_conn *c);
/* The same for the server: c->server and c->server_pump. serve_dial_encrypted is called when the
 * handshake is over, never from within. */
cow_errno serve_tls_wrap_server(struct serve_conn *c);
/* The connection of a pump is gone. */
void serve_tls_forget(struct serve_pump *p);
