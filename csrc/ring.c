#define _GNU_SOURCE
#include "csrc/ring.h"

#include <stddef.h>
#include <sys/mman.h>

#include "core/json.h"

/* What most agents ever use lies in small pages; a quiet one uses one of them. */
#define SMALL_PAGES (UINT64_C(256) * 1024)
#define LARGE_PAGE (UINT64_C(2048) * 1024) /* of x86-64, and of AArch64 with small pages of 4 KiB */

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

/*
 * Memory that a burst is the first to touch costs the agent's thread a fault a page: behind SMALL_PAGES large pages begin,
 * where the system has them for who asks.
 */
static char *map(uint64_t size)
{
    uint64_t spare = size > SMALL_PAGES ? LARGE_PAGE : 0;
    char *all = mmap(NULL, size + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    if (!spare)
        return all;
    uint64_t before = (LARGE_PAGE - ((uintptr_t)all + SMALL_PAGES) % LARGE_PAGE) % LARGE_PAGE;
    if (before > 0)
        munmap(all, before);
    munmap(all + before + size, spare - before);
    (void)madvise(all + before + SMALL_PAGES, size - SMALL_PAGES, MADV_HUGEPAGE);
    return all + before;
}

int ao_ring_init(struct ao_ring *ring, size_t bytes)
{
    uint64_t size = AO_RING_MIN;
    while (size < bytes && size < UINT64_C(1) << 40)
        size *= 2;
    char *base = map(size);
    if (!base)
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
    atomic_store(&ring->head, 0);
    atomic_store(&ring->tail, 0);
    ring->dropped = 0;
}

uint64_t ao_item_bound(const struct ao_record *record)
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

void ao_item_pack(struct ao_item *item, const struct ao_record *record)
{
    item->kind = (uint32_t)record->kind;
    item->present = record->present;
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
            ao_item_copy(to + 8, text.ptr, len);
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
    item->size = (uint32_t)(to - (char *)item);
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

/* AO_STR_NONE, which leaves the field out, when memory is short. */
static struct ao_str text_of(struct ao_buf *buf, struct ao_str units, unsigned size)
{
    ao_buf_clear(buf);
    ao_json_add_units(buf, units.ptr, size, units.len / size);
    return ao_buf_err(buf) ? AO_STR_NONE : ao_buf_str(buf);
}

void ao_item_read(const struct ao_item *item, struct ao_record *ret_record, struct ao_buf *input, struct ao_buf *output)
{
    ao_item_unpack(item, ret_record);
    if (AO_UNITS_INPUT(item->units))
        ret_record->input = text_of(input, ret_record->input, AO_UNITS_INPUT(item->units));
    if (AO_UNITS_OUTPUT(item->units))
        ret_record->output = text_of(output, ret_record->output, AO_UNITS_OUTPUT(item->units));
}

static struct ao_item *item_at(const struct ao_ring *ring, uint64_t pos)
{
    return (struct ao_item *)(void *)(ring->base + (pos & (ring->size - 1)));
}

/*
 * The reader has sent everything and will not touch `tail` before it sees a new
 * head: the producer may move both to the beginning of the block.
 */
static uint64_t start_over(struct ao_ring *ring, uint64_t head)
{
    uint64_t used = head & (ring->size - 1);
    if (used == 0)
        return head;
    if (used > ring->touched)
        ring->touched = used;
    head += ring->size - used;
    atomic_store_explicit(&ring->tail, head, memory_order_relaxed);
    return head;
}

bool ao_ring_trim(struct ao_ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (tail < atomic_load_explicit(&ring->head, memory_order_relaxed))
        return false;
    atomic_store(&ring->head, start_over(ring, tail));
    if (ring->touched <= SMALL_PAGES)
        return false;
    uint64_t from = SMALL_PAGES + (ring->touched - SMALL_PAGES - 1) / LARGE_PAGE * LARGE_PAGE;
    madvise(ring->base + from, ring->touched - from, MADV_DONTNEED);
    ring->touched = from;
    return from > SMALL_PAGES;
}

struct ao_item *ao_ring_begin(struct ao_ring *ring, uint64_t bound, bool keep, uint64_t *ret_pos)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (tail >= head) /* ahead, when the last one did not fit */
        tail = head = start_over(ring, tail);
    /* An item never wraps: what is left of the block is skipped. */
    uint64_t left = ring->size - (head & (ring->size - 1));
    uint64_t skip = left < bound ? left : 0;
    uint64_t room = ring->size - (head - tail);
    if (!keep)
        room = room > ring->reserve ? room - ring->reserve : 0;
    if (bound > room || skip > room - bound || bound > UINT32_MAX) {
        if (ring->dropped < UINT32_MAX)
            ring->dropped++;
        return NULL;
    }
    if (skip >= sizeof(struct ao_item))
        *item_at(ring, head) = (struct ao_item){.size = (uint32_t)skip, .kind = AO_KIND_COUNT};
    if (skip)
        ring->touched = ring->size;
    struct ao_item *item = item_at(ring, head + skip);
    item->dropped = ring->dropped;
    item->units = 0;
    atomic_init(&item->link, AO_LINK_NONE);
    ring->dropped = 0;
    *ret_pos = head + skip;
    return item;
}

bool ao_ring_link(struct ao_ring *ring, uint64_t start_pos, uint64_t link)
{
    uint64_t expected = AO_LINK_NONE;
    if (start_pos < atomic_load_explicit(&ring->tail, memory_order_acquire))
        return false;
    return atomic_compare_exchange_strong(&item_at(ring, start_pos)->link, &expected, link);
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
