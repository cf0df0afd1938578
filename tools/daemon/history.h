// SPDX-License-Identifier: Apache-2.0
/* history: what the servers of branches did and why, for `cowfs log`.
 *
 * One file for each branch in STORE/log, by its id: it stays with the branch over another name,
 * and over being deleted and had back. Whoever does something to a server adds a line: cowfs serve,
 * and the commands where none runs. To add one is a single write without a sync, so that a start is
 * not slower for it; what a power loss takes of it is lost. A file and the one before it hold the
 * last thousand lines or so. */
#pragma once
#include <jansson.h>
#include <stddef.h>

#define HISTORY_BYTES (128 << 10) /* of a file; then it becomes the one before */
#define HISTORY_MESSAGE 160       /* bytes of a message at most, with the NUL; the rest is cut */

/* `id` as branches are shown with ("br-00000001"), `event` a word ("started"). Of `message` (NULL =
 * none) the first line is kept, with control characters replaced. What cannot be written is left
 * out: nobody waits for it. */
void history_add(const char *store, const char *id, const char *event, const char *message);

/* Append the newest `most` lines to the array `events`, as {time, event, name: null, message}. */
void history_read(const char *store, const char *id, size_t most, json_t *events);
