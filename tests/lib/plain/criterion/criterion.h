// SPDX-License-Identifier: Apache-2.0
/* plain: as much of Criterion as the unit tests use, for builds in which Criterion cannot start.
 *
 * Criterion keeps its results in memory at fixed addresses, which ThreadSanitizer has for itself.
 * With COWFS_SANITIZE=thread this header is found instead of Criterion's (tests/CMakeLists.txt):
 * the same tests, each in a process of its own with its time limit, and TAP on stdout. Not here:
 * parameters and the cr_expect family; a test that needs them is not built for ThreadSanitizer. */
#pragma once
#include <stdio.h>
#include <string.h>

struct plain_options {
	void (*init)(void), (*fini)(void);
	double timeout; /* seconds; 0 = that of the suite */
	int unused;     /* so that a list of them may be empty */
};

struct plain_test {
	const char *suite, *name;
	void (*run)(void); /* NULL: the options of a suite */
	struct plain_options options;
	struct plain_test *next;
};

void plain_add(struct plain_test *t);
_Noreturn void plain_fail(const char *file, int line, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define PLAIN_ENTRY(id, ...)                                                                       \
	static struct plain_test plain_##id = {__VA_ARGS__};                                       \
	__attribute__((constructor)) static void plain_add_##id(void)                              \
	{                                                                                          \
		plain_add(&plain_##id);                                                            \
	}

#define TestSuite(s, ...)                                                                          \
	PLAIN_ENTRY(suite_##s, .suite = #s, .options = {.unused = 0, ##__VA_ARGS__})
#define Test(s, n, ...)                                                                            \
	static void plain_run_##s##_##n(void);                                                     \
	PLAIN_ENTRY(s##_##n, .suite = #s, .name = #n, .run = plain_run_##s##_##n,                  \
		    .options = {.unused = 0, ##__VA_ARGS__})                                       \
	static void plain_run_##s##_##n(void)

#define PLAIN_CHECK(ok, what, ...)                                                                 \
	do {                                                                                       \
		if (!(ok))                                                                         \
			plain_fail(__FILE__, __LINE__, what, " " __VA_ARGS__);                     \
	} while (0)

#define cr_assert(x, ...) PLAIN_CHECK(x, #x, __VA_ARGS__)
#define cr_assert_not(x, ...) PLAIN_CHECK(!(x), "not " #x, __VA_ARGS__)
#define cr_assert_null(x, ...) PLAIN_CHECK((x) == NULL, #x " is NULL", __VA_ARGS__)
#define cr_assert_not_null(x, ...) PLAIN_CHECK((x) != NULL, #x " is not NULL", __VA_ARGS__)
#define cr_assert_eq(a, b, ...) PLAIN_CHECK((a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) PLAIN_CHECK((a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) PLAIN_CHECK((a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) PLAIN_CHECK((a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) PLAIN_CHECK((a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) PLAIN_CHECK((a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) PLAIN_CHECK(strcmp(a, b) == 0, #a " is " #b, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...)                                                             \
	PLAIN_CHECK(memcmp(a, b, n) == 0, #a " is the same as " #b, __VA_ARGS__)
