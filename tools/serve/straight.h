// SPDX-License-Identifier: Apache-2.0
/* straight: what straight.c and census.c share; for the others see parts.h. */
#pragma once
#include <netinet/in.h>
#include <sys/un.h>

#include "tools/serve/parts.h"

/* Has it a server that takes clients? */
bool serve_straight_is_up(const struct serve_branch *b);
/* Where that listens, for itself. */
void serve_straight_place(const struct serve_branch *b, struct sockaddr_un *local,
			  struct sockaddr_in *port);

/* Look who is connected to each server that is up: fills straight.counted and straight.clients. */
void serve_census(struct serve *s);
