/*
 * lane.h - one of the ways into an emitter: a ring, its lock, and the spans
 * that were begun there and have not ended.
 *
 * Each thread of the agent has a lane, which it shares when there are fewer
 * lanes than threads: with Python's global lock one lane is enough, without it
 * threads must not wait for each other. The lock keeps producers apart; the
 * writer thread needs it for nothing that takes time, and no holder of it waits
 * for anything: it is a spin lock.
 */
#ifndef AO_LANE_H
#define AO_LANE_H

#include <sched.h>
#include <stdatomic.h>

#include "csrc/ring.h"

#define AO_LANES_MAX 8u

/* A span between its start and its end. Lies in the span; guarded by the lock of its lane. */
struct ao_ticket {
    struct ao_lane *lane; /* NULL: not begun */
    uint64_t pos;         /* of the start's item, when `sent` */
    struct ao_ticket *next;
    struct ao_ticket *prev;
    bool sent;            /* its start was taken */
    bool open;            /* in the lane's list */
};

struct ao_lane {
    _Alignas(64) _Atomic int locked;
    bool closing;            /* nothing more is taken */
    uint64_t dropped;        /* in all */
    struct ao_ticket *open;  /* the youngest first */
    struct ao_ring ring;
};

static inline void ao_lane_lock(struct ao_lane *lane)
{
    for (unsigned spins = 0; atomic_exchange_explicit(&lane->locked, 1, memory_order_acquire); spins++)
        if (spins % 64 == 63)
            sched_yield();
}

static inline void ao_lane_unlock(struct ao_lane *lane)
{
    atomic_store_explicit(&lane->locked, 0, memory_order_release);
}

/* Both under the lock. */
static inline void ao_lane_open(struct ao_lane *lane, struct ao_ticket *ticket)
{
    ticket->lane = lane;
    ticket->open = true;
    ticket->prev = NULL;
    ticket->next = lane->open;
    if (lane->open)
        lane->open->prev = ticket;
    lane->open = ticket;
}

static inline void ao_lane_close(struct ao_lane *lane, struct ao_ticket *ticket)
{
    if (!ticket->open)
        return;
    if (ticket->prev)
        ticket->prev->next = ticket->next;
    else
        lane->open = ticket->next;
    if (ticket->next)
        ticket->next->prev = ticket->prev;
    ticket->open = false;
}

#endif
