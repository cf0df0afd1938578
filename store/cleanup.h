// SPDX-License-Identifier: Apache-2.0
/* cleanup: scope-bound release of memory, descriptors and locks.
 *
 * Every variable carrying one of these attributes is initialised at its declaration to a value
 * that is safe to release. Locks held over I/O say why where they are taken. */
#pragma once
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cow_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cow_cleanup_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cow_cleanup_mutex(pthread_mutex_t **m)
{
	if (*m)
		pthread_mutex_unlock(*m);
}

static inline void cow_cleanup_rwlock(pthread_rwlock_t **l)
{
	if (*l)
		pthread_rwlock_unlock(*l);
}

static inline pthread_mutex_t *cow_lock(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}

static inline pthread_rwlock_t *cow_lock_shared(pthread_rwlock_t *l)
{
	pthread_rwlock_rdlock(l);
	return l;
}

static inline pthread_rwlock_t *cow_lock_exclusive(pthread_rwlock_t *l)
{
	pthread_rwlock_wrlock(l);
	return l;
}

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define CLEANUP_FREE CLEANUP(cow_cleanup_free)
#define CLEANUP_FD CLEANUP(cow_cleanup_close)

#define COW_CAT_(a, b) a##b
#define COW_CAT(a, b) COW_CAT_(a, b)

/* Held until the end of the enclosing block. */
#define WITH_LOCK(m)                                                                               \
	CLEANUP(cow_cleanup_mutex)                                                                 \
	__attribute__((unused)) pthread_mutex_t *COW_CAT(lock_, __LINE__) = cow_lock(m)
#define WITH_SHARED(l)                                                                             \
	CLEANUP(cow_cleanup_rwlock)                                                                \
	__attribute__((unused)) pthread_rwlock_t *COW_CAT(lock_, __LINE__) = cow_lock_shared(l)
#define WITH_EXCLUSIVE(l)                                                                          \
	CLEANUP(cow_cleanup_rwlock)                                                                \
	__attribute__((unused)) pthread_rwlock_t *COW_CAT(lock_, __LINE__) = cow_lock_exclusive(l)

static inline void *cow_take_ptr_(void *p)
{
	void **pp = p, *v = *pp;
	*pp = NULL;
	return v;
}
#define TAKE_PTR(p) ((__typeof__(p))cow_take_ptr_(&(p)))

#define COW_MIN(a, b)                                                                              \
	({                                                                                         \
		__typeof__(a) min_a_ = (a);                                                        \
		__typeof__(b) min_b_ = (b);                                                        \
		min_a_ < min_b_ ? min_a_ : min_b_;                                                 \
	})
#define COW_MAX(a, b)                                                                              \
	({                                                                                         \
		__typeof__(a) max_a_ = (a);                                                        \
		__typeof__(b) max_b_ = (b);                                                        \
		max_a_ > max_b_ ? max_a_ : max_b_;                                                 \
	})
