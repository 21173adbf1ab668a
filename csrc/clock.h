/*
 * clock.h - integer nanoseconds since the Unix epoch, monotonic within a process.
 *
 * The wall clock is read once and then advanced by the monotonic clock, so
 * that a step of the wall clock never yields a span that ends before it began.
 * A sandbox that was paused and resumed finds its wall clock far from the
 * anchor: then, and only then, the anchor is set anew (ao_clock_check).
 */
#ifndef AO_CLOCK_H
#define AO_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

struct ao_clock {
    _Atomic uint64_t offset; /* wall minus monotonic, modulo 2^64 */
};

/* Reads both clocks and sets the anchor. */
void ao_clock_anchor(struct ao_clock *clock);
/* Sets the anchor anew when the wall clock has left it by more than a second. Called now and then. */
void ao_clock_check(struct ao_clock *clock);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t ao_mono_now(void);

static inline uint64_t ao_clock_now(struct ao_clock *clock)
{
    return ao_mono_now() + atomic_load_explicit(&clock->offset, memory_order_relaxed);
}

#endif
