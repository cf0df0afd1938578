// SPDX-License-Identifier: Apache-2.0
/* steer: a new TCP connection to a port of ours goes to the listening socket of somebody else.
 *
 * A program of the kernel (BPF_PROG_TYPE_SK_LOOKUP, Linux 5.9) is asked for the socket of each new
 * connection that this network namespace gets, and answers from a table of ports. It concerns only
 * connections from 127.0.0.1 to 127.0.0.1: the server sees the address that it sees of the proxy.
 * Others, and ports that are not in the table, go where they go without it. Needs CAP_BPF and
 * CAP_NET_ADMIN, as root has them. All of it vanishes with the process.
 *
 * Plain bpf(2): it is five calls and a program of two dozen instructions, and libbpf would be one
 * more library, which brings two others, to make the same calls. */
#pragma once
#include <stdint.h>

#include "store/error.h"

struct serve_steer;

/* NULL with the reason in *e: it cannot be had here. */
struct serve_steer *serve_steer_open(struct cow_error *e);
void serve_steer_close(struct serve_steer *st); /* NULL is fine */

/* From now on connections to `port` go to `fd`, a TCP socket that listens; it is not kept, and when
 * the last copy of it is closed the port is out of the table. -errno. */
cow_errno serve_steer_set(struct serve_steer *st, int port, int fd);
/* When the last one was steered from this port: CLOCK_MONOTONIC in ms; 0 = none was. */
uint64_t serve_steer_last(const struct serve_steer *st, int port);
/* Not any more; nothing happens when it was not. */
void serve_steer_clear(struct serve_steer *st, int port);
