#include "host/clock.h"

#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * CLOCK_SECOND + (uint64_t)now.tv_nsec;
}

/* Wall clock anchored once, monotonic from there: a stepped clock does not bend durations. */
uint64_t clock_now(void)
{
    static uint64_t wall, mono;
    uint64_t now = read_clock(CLOCK_MONOTONIC);
    if (wall == 0) {
        wall = read_clock(CLOCK_REALTIME);
        mono = now;
    }
    return wall + (now - mono);
}
