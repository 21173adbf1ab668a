/*
 * mem.h - the one front for heap memory.
 *
 * Everything in core/, host/ and csrc/ that is not handed to a library
 * allocates here, so that a test can make any single allocation fail.
 * The fault hook exists only in builds with AO_FAULTS; in production
 * these are plain malloc, realloc and free, and the core keeps no state.
 */
#ifndef AO_MEM_H
#define AO_MEM_H

#include "core/base.h"

/* NULL when out of memory. A size of 0 yields a pointer that may be freed. */
AO_NODISCARD void *ao_malloc(size_t size);
/* Zeroed; NULL also when count * size overflows. */
AO_NODISCARD void *ao_calloc(size_t count, size_t size);
/* On failure the old block stays valid. */
AO_NODISCARD void *ao_realloc(void *ptr, size_t size);
/* Accepts NULL. */
void ao_free(void *ptr);

/* NUL-terminated copy of bytes; NULL when out of memory. Free with ao_free. */
AO_NODISCARD char *ao_strndup(const char *ptr, size_t len);
AO_NODISCARD char *ao_strdup(struct ao_str s);

#ifdef AO_FAULTS
/*
 * Test hook: the allocation number `nth` from now (1 = the next) fails;
 * with `persistent` all later ones fail too. 0 switches the hook off.
 */
void ao_mem_fail_at(unsigned long nth, bool persistent);
/* True when the hook made an allocation fail since it was last armed. */
bool ao_mem_failed(void);
#endif

#endif
