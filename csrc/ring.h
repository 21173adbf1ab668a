/*
 * ring.h - a bounded queue of records in one block of memory.
 *
 * Producers pack a record's present fields into the ring; the writer thread
 * unpacks them again into a record whose views point into the ring. Encoding
 * is thus the writer's work and costs the agent's thread nothing.
 *
 * The ring has no lock of its own: head, tail and `dropped` are guarded by
 * the emitter's mutex. Items between tail and head are immutable but for their
 * `link`, which is atomic:
 *
 *   A span that ends while its start still lies in the ring is linked to it:
 *   the writer then sends one whole span in place of two records.
 *
 * Items are contiguous and 8-byte aligned. The memory is mapped lazily, and
 * the emitter rewinds an empty ring, so that a quiet agent touches one page.
 */
#ifndef AO_RING_H
#define AO_RING_H

#include <stdatomic.h>

#include "core/base.h"
#include "core/record.h"

/* Values of an item's link; every other value is the position of a span's end, plus one. */
#define AO_LINK_NONE UINT64_C(0)
#define AO_LINK_TAKEN UINT64_MAX          /* the writer has sent this start by itself */
#define AO_LINK_SKIP (UINT64_MAX - 1)     /* merged into its start, or withdrawn: nothing to send */

struct ao_item {
    uint32_t size;    /* bytes of the whole item, a multiple of 8 */
    uint32_t dropped; /* records lost between the item before and this one */
    uint32_t kind;    /* enum ao_kind; AO_KIND_COUNT for padding at the end of the block */
    uint32_t unused;
    _Atomic uint64_t link;
    uint64_t present;
};

struct ao_ring {
    char *base;
    uint64_t size;    /* a power of two */
    uint64_t reserve; /* bytes kept for records that must not be lost */
    uint64_t head;    /* next position to write; positions only grow */
    uint64_t tail;    /* oldest position not yet sent */
    uint64_t claimed; /* what lies before this the writer may be sending now */
    uint64_t touched; /* bytes of the block that were written since the last trim */
    uint32_t dropped; /* lost since the last item */
};

#define AO_RING_MIN (64u * 1024)

/* Maps the memory, rounded up to a power of two, at least AO_RING_MIN. AO_ERR_NOMEM. */
int ao_ring_init(struct ao_ring *ring, size_t bytes);
/* Unmaps. Accepts a zeroed ring. */
void ao_ring_release(struct ao_ring *ring);
/* Empties and forgets; keeps the memory. */
void ao_ring_clear(struct ao_ring *ring);
/* An empty ring starts over at its first page. */
void ao_ring_rewind(struct ao_ring *ring);
/* An empty ring gives the memory beyond its first MiB back to the system, if it was used. */
void ao_ring_trim(struct ao_ring *ring);

static inline uint64_t ao_ring_used(const struct ao_ring *ring)
{
    return ring->head - ring->tail;
}

/*
 * Appends a record; its position goes to ret_pos. AO_ERR_LIMIT when it does
 * not fit (`keep` may use the reserve): it is then counted in `dropped`.
 */
int ao_ring_put(struct ao_ring *ring, const struct ao_record *record, bool keep, uint64_t *ret_pos);
/*
 * Joins the end at `end_pos` to the start at `start_pos`. False when the writer
 * has the start already; then the end goes out by itself.
 */
bool ao_ring_link(struct ao_ring *ring, uint64_t start_pos, uint64_t end_pos);
/* Takes back a start that was not yet sent; false when it was. */
bool ao_ring_withdraw(struct ao_ring *ring, uint64_t start_pos);

/* The item at a position between tail and head; moves *pos over padding. NULL at `head`. */
struct ao_item *ao_ring_item(const struct ao_ring *ring, uint64_t *pos, uint64_t head);
/* Reads an item back; views point into the ring. */
void ao_item_unpack(const struct ao_item *item, struct ao_record *ret_record);

#endif
