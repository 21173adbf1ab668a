#define _GNU_SOURCE
#include "csrc/ring.h"

#include <stddef.h>
#include <sys/mman.h>

#define REWIND_KEEP (1024u * 1024)

/* How a field of each type lies in an item: a view (length, then bytes), 16 bytes, one byte in a word, or a word. */
#define IS_VIEW_U64 0
#define IS_VIEW_PUSD 0
#define IS_VIEW_BOOL 0
#define IS_VIEW_TEXT 1
#define IS_VIEW_JSON 1
#define IS_VIEW_OBJECT 1
#define IS_VIEW_ARRAY 1
#define IS_VIEW_TRACE_ID 0
#define IS_VIEW_SPAN_ID 0
#define IS_LONG_U64 0
#define IS_LONG_PUSD 0
#define IS_LONG_BOOL 0
#define IS_LONG_TEXT 0
#define IS_LONG_JSON 0
#define IS_LONG_OBJECT 0
#define IS_LONG_ARRAY 0
#define IS_LONG_TRACE_ID 1
#define IS_LONG_SPAN_ID 0
#define IS_BYTE_U64 0
#define IS_BYTE_PUSD 0
#define IS_BYTE_BOOL 1
#define IS_BYTE_TEXT 0
#define IS_BYTE_JSON 0
#define IS_BYTE_OBJECT 0
#define IS_BYTE_ARRAY 0
#define IS_BYTE_TRACE_ID 0
#define IS_BYTE_SPAN_ID 0

#define VIEW_BIT(type, member, key, kinds, max, meaning) | (uint64_t)IS_VIEW_##type << AO_FIELD_##member
#define LONG_BIT(type, member, key, kinds, max, meaning) | (uint64_t)IS_LONG_##type << AO_FIELD_##member
#define BYTE_BIT(type, member, key, kinds, max, meaning) | (uint64_t)IS_BYTE_##type << AO_FIELD_##member
static const uint64_t views = 0 AO_RECORD_FIELDS(VIEW_BIT);
static const uint64_t longs = 0 AO_RECORD_FIELDS(LONG_BIT);
static const uint64_t single_bytes = 0 AO_RECORD_FIELDS(BYTE_BIT);

#define LONG_ONE(type, member, key, kinds, max, meaning) +IS_LONG_##type
#define LONG_COUNT (0 AO_RECORD_FIELDS(LONG_ONE))

static const uint16_t offsets[AO_FIELD_COUNT] = {
#define FIELD_OFFSET(type, member, key, kinds, max, meaning) offsetof(struct ao_record, member),
    AO_RECORD_FIELDS(FIELD_OFFSET)
#undef FIELD_OFFSET
};

static inline uint64_t align8(uint64_t n)
{
    return (n + 7) & ~UINT64_C(7);
}

int ao_ring_init(struct ao_ring *ring, size_t bytes)
{
    uint64_t size = AO_RING_MIN;
    while (size < bytes && size < UINT64_C(1) << 40)
        size *= 2;
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return AO_ERR_NOMEM;
    *ring = (struct ao_ring){.base = base, .size = size, .reserve = size / 8};
    return AO_OK;
}

void ao_ring_release(struct ao_ring *ring)
{
    if (ring->base)
        munmap(ring->base, ring->size);
    *ring = (struct ao_ring){0};
}

void ao_ring_clear(struct ao_ring *ring)
{
    ring->head = 0;
    ring->tail = 0;
    ring->claimed = 0;
    ring->dropped = 0;
}

void ao_ring_rewind(struct ao_ring *ring)
{
    uint64_t used = ring->head & (ring->size - 1);
    if (ring->head != ring->tail || used == 0)
        return;
    if (used > ring->touched)
        ring->touched = used;
    ring->head += ring->size - used;
    ring->tail = ring->head;
}

void ao_ring_trim(struct ao_ring *ring)
{
    if (ring->head != ring->tail || ring->touched <= REWIND_KEEP)
        return;
    madvise(ring->base + REWIND_KEEP, ring->size - REWIND_KEEP, MADV_DONTNEED);
    ring->touched = 0;
}

/* At least the size of the packed record; nearly that of a record with every field of fixed size. */
static uint64_t size_bound(const struct ao_record *record)
{
    uint64_t size = sizeof(struct ao_item) + 8 * AO_FIELD_COUNT + 8 * LONG_COUNT;
    const char *from = (const char *)record;
    for (uint64_t left = record->present & views; left; left &= left - 1) {
        struct ao_str text;
        memcpy(&text, from + offsets[__builtin_ctzll(left)], sizeof(text));
        size += align8(text.len);
    }
    return size;
}

/* Copies whole words: `to` has room for them, and `from` is read no further than len. */
static inline void copy_text(char *to, const char *from, uint64_t len)
{
    if (len > 32) {
        memcpy(to, from, len);
        return;
    }
    for (; len >= 8; len -= 8, to += 8, from += 8)
        memcpy(to, from, 8);
    for (uint64_t i = 0; i < len; i++)
        to[i] = from[i];
}

/* Returns the end of what was written. */
static const char *pack(struct ao_item *item, const struct ao_record *record)
{
    char *to = (char *)(item + 1);
    const char *from = (const char *)record;
    for (uint64_t left = record->present; left; left &= left - 1) {
        const uint64_t bit = left & -left;
        const char *value = from + offsets[__builtin_ctzll(left)];
        if (bit & views) {
            struct ao_str text;
            memcpy(&text, value, sizeof(text));
            uint64_t len = text.len;
            memcpy(to, &len, 8);
            copy_text(to + 8, text.ptr, len);
            to += 8 + align8(len);
        } else if (bit & single_bytes) {
            uint64_t word = *(const bool *)value;
            memcpy(to, &word, 8);
            to += 8;
        } else if (bit & longs) {
            memcpy(to, value, 16);
            to += 16;
        } else {
            memcpy(to, value, 8);
            to += 8;
        }
    }
    return to;
}

void ao_item_unpack(const struct ao_item *item, struct ao_record *ret_record)
{
    ret_record->kind = (enum ao_kind)item->kind;
    ret_record->present = item->present;
    const char *from = (const char *)(item + 1);
    char *to = (char *)ret_record;
    for (uint64_t left = item->present; left; left &= left - 1) {
        const uint64_t bit = left & -left;
        char *value = to + offsets[__builtin_ctzll(left)];
        if (bit & views) {
            uint64_t len;
            memcpy(&len, from, 8);
            struct ao_str text = {from + 8, len};
            memcpy(value, &text, sizeof(text));
            from += 8 + align8(len);
        } else if (bit & single_bytes) {
            *(bool *)value = from[0] != 0;
            from += 8;
        } else if (bit & longs) {
            memcpy(value, from, 16);
            from += 16;
        } else {
            memcpy(value, from, 8);
            from += 8;
        }
    }
}

static struct ao_item *item_at(const struct ao_ring *ring, uint64_t pos)
{
    return (struct ao_item *)(void *)(ring->base + (pos & (ring->size - 1)));
}

/* An item never wraps: what is left of the block is skipped. */
static uint64_t skip_before(const struct ao_ring *ring, uint64_t size)
{
    uint64_t left = ring->size - (ring->head & (ring->size - 1));
    return left < size ? left : 0;
}

int ao_ring_put(struct ao_ring *ring, const struct ao_record *record, bool keep, uint64_t *ret_pos)
{
    uint64_t size = size_bound(record);
    uint64_t skip = skip_before(ring, size);
    uint64_t room = ring->size - ao_ring_used(ring);
    if (!keep)
        room = room > ring->reserve ? room - ring->reserve : 0;
    if (size > room || skip > room - size || size > UINT32_MAX) {
        if (ring->dropped < UINT32_MAX)
            ring->dropped++;
        return AO_ERR_LIMIT;
    }
    if (skip >= sizeof(struct ao_item))
        *item_at(ring, ring->head) = (struct ao_item){.size = (uint32_t)skip, .kind = AO_KIND_COUNT};
    uint64_t pos = ring->head + skip;
    struct ao_item *item = item_at(ring, pos);
    item->dropped = ring->dropped;
    item->kind = (uint32_t)record->kind;
    item->present = record->present;
    atomic_init(&item->link, AO_LINK_NONE);
    item->size = (uint32_t)(pack(item, record) - (const char *)item);
    ring->dropped = 0;
    if (skip)
        ring->touched = ring->size;
    ring->head = pos + item->size;
    *ret_pos = pos;
    return AO_OK;
}

bool ao_ring_link(struct ao_ring *ring, uint64_t start_pos, uint64_t end_pos)
{
    if (start_pos < ring->tail)
        return false;
    _Atomic uint64_t *link = &item_at(ring, start_pos)->link;
    uint64_t expected = AO_LINK_NONE;
    if (start_pos >= ring->claimed) {
        /* The writer will see it after it has had the lock: no need for the costlier instruction. */
        if (atomic_load_explicit(link, memory_order_relaxed) != AO_LINK_NONE)
            return false;
        atomic_store_explicit(link, end_pos + 1, memory_order_relaxed);
    } else if (!atomic_compare_exchange_strong(link, &expected, end_pos + 1)) {
        return false;
    }
    atomic_store_explicit(&item_at(ring, end_pos)->link, AO_LINK_SKIP, memory_order_relaxed);
    return true;
}

bool ao_ring_withdraw(struct ao_ring *ring, uint64_t start_pos)
{
    if (start_pos < ring->tail)
        return false;
    uint64_t expected = AO_LINK_NONE;
    return atomic_compare_exchange_strong(&item_at(ring, start_pos)->link, &expected, AO_LINK_SKIP);
}

struct ao_item *ao_ring_item(const struct ao_ring *ring, uint64_t *pos, uint64_t head)
{
    while (*pos < head) {
        uint64_t left = ring->size - (*pos & (ring->size - 1));
        struct ao_item *item = item_at(ring, *pos);
        if (left >= sizeof(*item) && item->kind != AO_KIND_COUNT)
            return item;
        *pos += left;
    }
    return NULL;
}
