// SPDX-License-Identifier: Apache-2.0
/* whole: the executable that has every command.
 *
 * cowfs is one program in two executables. The one that users start is linked without the libraries
 * that a few commands need (libfuse for mount, libevent and OpenSSL for serve, ncurses for top,
 * OpenSSL, lz4 and zstd for golden): with them the start of the process took 5 ms, and an answer of
 * the daemon takes 2. A command with `whole` set is executed again, in the same process and with
 * the same words, by the other one, which lies where the installation put it, relative to this one.
 *
 * What such a command calls is named in its file by "#pragma weak", so that the first executable is
 * linked without it: there it is NULL, and only a command with `whole` may call it. A forgotten one
 * brings its libraries back, which tests/tools/start.sh sees. */
#pragma once
#include "store/error.h"

/* The way from the folder of the first executable to the whole one. NULL = this is the whole one.
 * Of main.c; before threads. */
void whole_set_path(const char *path);

/* Does not return when there is another one, and it can be executed; `argv` as main had it. 0 =
 * this is the whole one; else the reason. */
cow_errno whole_execute(char **argv, struct cow_error *e);
