// SPDX-License-Identifier: Apache-2.0
/* log: one sink for the daemon's words, on stderr, one line per event.
 *
 * Each line starts with the priority as <N> when stderr is the journal (JOURNAL_STREAM is set).
 * Thread-safe: a line is one write. Never logs file contents or passwords.
 * The level is process-wide on purpose: there is one stderr. */
#pragma once

enum cow_log_level { COW_LOG_ERROR = 3, COW_LOG_WARN = 4, COW_LOG_INFO = 6, COW_LOG_DEBUG = 7 };

void cow_log_set_level(enum cow_log_level level);

/* "error", "warn", "info" or "debug" to a level; 0 or -EINVAL (then *ret is untouched). */
int cow_log_parse_level(const char *word, enum cow_log_level *ret);

void cow_log(enum cow_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define cow_log_error(...) cow_log(COW_LOG_ERROR, __VA_ARGS__)
#define cow_log_warn(...) cow_log(COW_LOG_WARN, __VA_ARGS__)
#define cow_log_info(...) cow_log(COW_LOG_INFO, __VA_ARGS__)
#define cow_log_debug(...) cow_log(COW_LOG_DEBUG, __VA_ARGS__)
