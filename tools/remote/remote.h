// SPDX-License-Identifier: Apache-2.0
/* remote: the same command on the machine that has the store, over ssh.
 *
 * `cowfs --host user@server ...` (or COWFS_HOST) gives the words of the command line to the cowfs
 * there. What may log in and how is ssh's business: this runs the ssh of the user, never asks for a
 * password (BatchMode), and gives up on a machine that does not answer within 10 seconds. ssh hands
 * one string to a shell of the other side, so every word is quoted for a POSIX shell. The exit
 * status is that of the command there; ssh's own failure (255) becomes 7.
 *
 * COWFS_STORE and COWFS_OUTPUT of this side are passed on as options: they mean the store there.
 * COWFS_SSH_CONFIG: a configuration file for ssh (-F). COWFS_HOST_PROGRAM: cowfs there (default:
 * "cowfs" in the PATH that a login without a terminal has).
 *
 * A command that has more to do on this side brings a `run_remote` (command.h): addresses are
 * rewritten, files of this side are sent along, `exec` runs here behind a tunnel. */
#pragma once
#include <jansson.h>
#include <sys/types.h>

#include "tools/cli/command.h"

/* The command of `call` there, standard streams handed through. Its exit status, or -errno:
 * -ECONNREFUSED ssh failed. */
int remote_run(struct command_call *call);

/* The same with `--as=-` in the place of the option `option`, and `in` as standard input. */
int remote_run_feeding(struct command_call *call, const char *option, const char *as, int in);

/* The same, its JSON result in *ret (owned by the caller) instead of on stdout. A command that
 * fails there has its reason printed, and its exit status is the positive answer. `without`:
 * options that are not passed on, up to a NULL; NULL = none. */
int remote_ask(struct command_call *call, const char *const *without, json_t **ret);

/* The same as remote_ask for other words, which end with NULL; those of `call` say only where.
 * ret NULL = the answer is not wanted. */
int remote_ask_words(struct command_call *call, const char *const *words, json_t **ret);

/* The part of user@server or ssh://user@server:port that names the machine. */
void remote_host_name(const char *host, char *ret, size_t size);

/* Write `word` to `out` so that a POSIX shell reads exactly it. */
void remote_quote(FILE *out, const char *word);

/* --- address.c --- */

/* remote_ask for a command that answers with pgbranch_json: host, port and connection_uri as they
 * are seen from here; what only means something there is left out. */
int remote_address(struct command_call *call, const char *const *without, json_t **ret);

/* Let `address` (pgbranch_json) say this host and port. */
void remote_address_set(json_t *address, const char *host, int port);

/* --- tunnel.c --- */

struct remote_tunnel {
	pid_t pid; /* of ssh; 0 = none */
	int port;  /* on 127.0.0.1 here */
};

/* A local port that leads to `port` of 127.0.0.1 there, until remote_tunnel_close. */
cow_errno remote_tunnel_open(struct command_call *call, int port, struct remote_tunnel *ret);
void remote_tunnel_close(struct remote_tunnel *t);

/* A tunnel that stays when this process ends: for `seconds`, and then until its last connection
 * is closed. *ret_port as above. */
cow_errno remote_tunnel_leave(struct command_call *call, int port, unsigned seconds, int *ret_port);

/* Private: the beginning of an ssh command line; NULL-terminated, `max` >= 24 entries. Returns
 * how many. Borrowed strings. */
size_t remote_ssh_argv(const struct command_call *call, const char **argv);
