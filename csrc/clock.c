#include "csrc/clock.h"

#include <time.h>

#define NS_PER_SECOND UINT64_C(1000000000)

static uint64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_SECOND + (uint64_t)ts.tv_nsec;
}

uint64_t ao_mono_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static uint64_t wall_offset(void)
{
    return read_clock(CLOCK_REALTIME) - read_clock(CLOCK_MONOTONIC);
}

void ao_clock_anchor(struct ao_clock *clock)
{
    atomic_store_explicit(&clock->offset, wall_offset(), memory_order_relaxed);
}

void ao_clock_check(struct ao_clock *clock)
{
    uint64_t now = wall_offset();
    uint64_t anchor = atomic_load_explicit(&clock->offset, memory_order_relaxed);
    uint64_t apart = now - anchor < anchor - now ? now - anchor : anchor - now;
    if (apart > NS_PER_SECOND)
        atomic_store_explicit(&clock->offset, now, memory_order_relaxed);
}
