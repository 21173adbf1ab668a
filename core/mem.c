#include "core/mem.h"

#include <stdlib.h>

#ifdef AO_FAULTS
static unsigned long fault_countdown;
static bool fault_persistent;
static bool fault_fired;

void ao_mem_fail_at(unsigned long nth, bool persistent)
{
    fault_countdown = nth;
    fault_persistent = persistent;
    fault_fired = false;
}

bool ao_mem_failed(void)
{
    return fault_fired;
}

static bool fault_now(void)
{
    if (fault_fired && fault_persistent)
        return true;
    if (fault_countdown == 0 || --fault_countdown > 0)
        return false;
    fault_fired = true;
    return true;
}
#else
static inline bool fault_now(void)
{
    return false;
}
#endif

void *ao_malloc(size_t size)
{
    return fault_now() ? NULL : malloc(size ? size : 1);
}

void *ao_calloc(size_t count, size_t size)
{
    if (count == 0 || size == 0)
        count = size = 1;
    if (count > SIZE_MAX / size)
        return NULL;
    return fault_now() ? NULL : calloc(count, size);
}

void *ao_realloc(void *ptr, size_t size)
{
    return fault_now() ? NULL : realloc(ptr, size ? size : 1);
}

void ao_free(void *ptr)
{
    free(ptr);
}

char *ao_strndup(const char *ptr, size_t len)
{
    if (len == SIZE_MAX)
        return NULL;
    char *copy = ao_malloc(len + 1);
    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, ptr, len);
    copy[len] = '\0';
    return copy;
}

char *ao_strdup(struct ao_str s)
{
    return ao_strndup(s.ptr, s.len);
}
