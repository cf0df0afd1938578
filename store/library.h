// SPDX-License-Identifier: Apache-2.0
/* library: a shared library that is loaded when it is first needed.
 *
 * Most commands ask the daemon one question and end, and the start of the process is most of what
 * they take. RocksDB and libpq, with what they bring along, are two thirds of the libraries of
 * cowfs and most of the work of its start, and only the daemon, cowfs serve and a few commands use
 * them. The manner is systemd's: the headers say the types, dlopen finds the functions.
 *
 * Guarantees: all functions of the library are there, or the error names what is not and none may
 * be called. It is never unloaded once it is. Does not look anywhere but where the dynamic linker
 * does. */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "store/error.h"

struct cow_symbol {
	const char *name;
	void *at; /* a pointer to a pointer to the function */
};

struct cow_library {
	const char *file; /* the name it has for the dynamic linker */
	const char *what; /* the name it has for people */
	const struct cow_symbol *symbols;
	size_t n;
	pthread_mutex_t lock;
	bool loaded;
};

/* May be called by any thread, as often as it likes. -ELIBACC: it cannot be loaded, or it has not
 * what cowfs was built with; nothing of it may be called. */
cow_errno cow_library_load(struct cow_library *l, struct cow_error *e);
