/*
 * ring.h - a bounded queue of records in one block of memory, from one
 * producer at a time (its lane's lock sees to that) to one reader, the writer
 * thread, which takes no lock.
 *
 * Producers pack a record's present fields into the ring; the writer thread
 * unpacks them again into a record whose views point into the ring. Encoding
 * is thus the writer's work and costs the agent's thread nothing.
 *
 * The producer owns `head`, the reader `tail`; what lies between them belongs
 * to the reader and is immutable but for an item's `link`, which is atomic:
 *
 *   A span that ends while its start still lies in the ring leaves its end
 *   there: the time alone, or the place of another item with more to tell. The
 *   writer then sends one whole span in place of two records.
 *
 * Items are contiguous and 8-byte aligned. The memory is mapped lazily. A ring
 * that is found empty starts over at its first page, so that a quiet agent
 * touches one page; only then does the producer move `tail`, which the reader
 * leaves alone while there is nothing to read.
 */
#ifndef AO_RING_H
#define AO_RING_H

#include <stdatomic.h>

#include "core/base.h"
#include "core/record.h"

/*
 * Values of an item's link. AO_LINK_ENDED and the time of the end, ns since the
 * epoch: the whole end. Every other value: the position of the item that ends
 * the span, plus one.
 */
#define AO_LINK_NONE UINT64_C(0)
#define AO_LINK_TAKEN UINT64_MAX          /* the writer has sent this start by itself */
#define AO_LINK_SKIP (UINT64_MAX - 1)     /* merged into its start, or withdrawn: nothing to send */
#define AO_LINK_ENDED (UINT64_C(1) << 63)

struct ao_item {
    uint32_t size;    /* bytes of the whole item, a multiple of 8 */
    uint32_t dropped; /* records lost between the item before and this one */
    uint32_t kind;    /* enum ao_kind; AO_KIND_COUNT for padding at the end of the block */
    uint16_t units;   /* AO_UNITS of its texts that are not JSON yet */
    uint16_t unused;
    _Atomic uint64_t link;
    uint64_t present;
};

/*
 * The input and the output of a record may be the code units of a text, which
 * the writer makes a JSON string of. Their size (1, 2 or 4 bytes), 0 for JSON.
 */
#define AO_UNITS(input, output) ((uint16_t)((input) | (output) << 8))
#define AO_UNITS_INPUT(units) ((units) & 0xffu)
#define AO_UNITS_OUTPUT(units) ((units) >> 8)

/* What one thread writes all the time is not in a cache line that the other reads. */
struct ao_ring {
    char *base;
    uint64_t size;    /* a power of two */
    uint64_t reserve; /* bytes kept for records that must not be lost */
    _Alignas(64) _Atomic uint64_t head; /* next position to write; positions only grow */
    uint64_t touched; /* bytes of the block that were written since the last trim */
    uint32_t dropped; /* lost since the last item */
    _Alignas(64) _Atomic uint64_t tail; /* oldest position not yet sent */
};

#define AO_RING_MIN (64u * 1024)

/* Maps the memory, rounded up to a power of two, at least AO_RING_MIN. AO_ERR_NOMEM. */
int ao_ring_init(struct ao_ring *ring, size_t bytes);
/* Unmaps. Accepts a zeroed ring. */
void ao_ring_release(struct ao_ring *ring);
/* Empties and forgets; keeps the memory. Nobody else may use the ring meanwhile. */
void ao_ring_clear(struct ao_ring *ring);
/*
 * The producer's: an empty ring gives memory beyond its first 256 KiB, if it was
 * used, back to the system, 2 MiB at a time. True when there is more to give.
 */
bool ao_ring_trim(struct ao_ring *ring);

/* Bytes not yet sent. */
static inline uint64_t ao_ring_used(const struct ao_ring *ring)
{
    uint64_t head = atomic_load(&ring->head);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return tail < head ? head - tail : 0; /* a ring that starts over moves its tail first */
}

/*
 * A place for an item of at most `bound` bytes, its header included; NULL when
 * it does not fit (`keep` may use the reserve): it is then counted in `dropped`.
 * The reader sees it after ao_ring_commit.
 */
struct ao_item *ao_ring_begin(struct ao_ring *ring, uint64_t bound, bool keep, uint64_t *ret_pos);
/* Shows the reader a complete item, its size and all. In the one order of all that wake and sleep by it (emitter.h). */
static inline void ao_ring_commit(struct ao_ring *ring, const struct ao_item *item, uint64_t pos)
{
    atomic_store(&ring->head, pos + item->size);
}

/* Short texts in whole words, the last of them over some of what was copied before. */
static inline void ao_item_copy(char *to, const char *from, uint64_t len)
{
    if (len > 32) {
        memcpy(to, from, len);
    } else if (len >= 8) {
        for (uint64_t at = 0; at + 8 < len; at += 8)
            memcpy(to + at, from + at, 8);
        memcpy(to + len - 8, from + len - 8, 8);
    } else if (len >= 4) {
        memcpy(to, from, 4);
        memcpy(to + len - 4, from + len - 4, 4);
    } else {
        for (uint64_t at = 0; at < len; at++)
            to[at] = from[at];
    }
}

/* At least the size of the packed record; nearly that of a record with every field of fixed size. */
uint64_t ao_item_bound(const struct ao_record *record);
/* Writes a whole item. */
void ao_item_pack(struct ao_item *item, const struct ao_record *record);
/* Reads an item back; views point into the ring. */
void ao_item_unpack(const struct ao_item *item, struct ao_record *ret_record);

/* The same, and code units become JSON strings in the given buffers. */
void ao_item_read(const struct ao_item *item, struct ao_record *ret_record, struct ao_buf *input, struct ao_buf *output);

/* Leaves `link` at a start. False when the writer has it already; then the end goes out by itself. */
bool ao_ring_link(struct ao_ring *ring, uint64_t start_pos, uint64_t link);

/* The reader's: the item at a position between tail and head; moves *pos over padding. NULL at `head`. */
struct ao_item *ao_ring_item(const struct ao_ring *ring, uint64_t *pos, uint64_t head);

#endif
