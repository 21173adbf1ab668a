#define _GNU_SOURCE
#include "csrc/ring.h"

#include <stddef.h>
#include <sys/mman.h>

#define REWIND_KEEP (1024u * 1024)

enum field_type {
    FIELD_U64,
    FIELD_PUSD,
    FIELD_BOOL,
    FIELD_TEXT,
    FIELD_JSON,
    FIELD_OBJECT,
    FIELD_ARRAY,
    FIELD_TRACE_ID,
    FIELD_SPAN_ID,
};

struct field {
    uint16_t offset;
    uint16_t type;
};

static const struct field fields[AO_FIELD_COUNT] = {
#define FIELD_ROW(ftype, member, key, kinds, max, meaning) {offsetof(struct ao_record, member), FIELD_##ftype},
    AO_RECORD_FIELDS(FIELD_ROW)
#undef FIELD_ROW
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

static uint64_t packed_size(const struct ao_record *record)
{
    uint64_t size = sizeof(struct ao_item);
    const char *from = (const char *)record;
    for (uint64_t left = record->present; left; left &= left - 1) {
        const struct field *field = &fields[__builtin_ctzll(left)];
        switch (field->type) {
        case FIELD_TRACE_ID:
            size += 16;
            break;
        case FIELD_TEXT:
        case FIELD_JSON:
        case FIELD_OBJECT:
        case FIELD_ARRAY:
            size += 8 + align8(((const struct ao_str *)(const void *)(from + field->offset))->len);
            break;
        default:
            size += 8;
        }
    }
    return size;
}

static void pack(struct ao_item *item, const struct ao_record *record)
{
    char *to = (char *)(item + 1);
    const char *from = (const char *)record;
    for (uint64_t left = record->present; left; left &= left - 1) {
        const struct field *field = &fields[__builtin_ctzll(left)];
        const char *value = from + field->offset;
        switch (field->type) {
        case FIELD_TRACE_ID:
            memcpy(to, value, 16);
            to += 16;
            break;
        case FIELD_BOOL: {
            uint64_t word = *(const bool *)value;
            memcpy(to, &word, 8);
            to += 8;
            break;
        }
        case FIELD_TEXT:
        case FIELD_JSON:
        case FIELD_OBJECT:
        case FIELD_ARRAY: {
            struct ao_str text;
            memcpy(&text, value, sizeof(text));
            uint64_t len = text.len;
            memcpy(to, &len, 8);
            if (len)
                memcpy(to + 8, text.ptr, len);
            to += 8 + align8(len);
            break;
        }
        default:
            memcpy(to, value, 8);
            to += 8;
        }
    }
}

void ao_item_unpack(const struct ao_item *item, struct ao_record *ret_record)
{
    ao_record_init(ret_record, (enum ao_kind)item->kind);
    ret_record->present = item->present;
    const char *from = (const char *)(item + 1);
    char *to = (char *)ret_record;
    for (uint64_t left = item->present; left; left &= left - 1) {
        const struct field *field = &fields[__builtin_ctzll(left)];
        char *value = to + field->offset;
        switch (field->type) {
        case FIELD_TRACE_ID:
            memcpy(value, from, 16);
            from += 16;
            break;
        case FIELD_BOOL:
            *(bool *)value = from[0] != 0;
            from += 8;
            break;
        case FIELD_TEXT:
        case FIELD_JSON:
        case FIELD_OBJECT:
        case FIELD_ARRAY: {
            uint64_t len;
            memcpy(&len, from, 8);
            struct ao_str text = {from + 8, len};
            memcpy(value, &text, sizeof(text));
            from += 8 + align8(len);
            break;
        }
        default:
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
    uint64_t size = packed_size(record);
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
    item->size = (uint32_t)size;
    item->dropped = ring->dropped;
    item->kind = (uint32_t)record->kind;
    item->present = record->present;
    atomic_init(&item->link, AO_LINK_NONE);
    pack(item, record);
    ring->dropped = 0;
    if (skip)
        ring->touched = ring->size;
    ring->head = pos + size;
    *ret_pos = pos;
    return AO_OK;
}

bool ao_ring_link(struct ao_ring *ring, uint64_t start_pos, uint64_t end_pos)
{
    if (start_pos < ring->tail)
        return false;
    uint64_t expected = AO_LINK_NONE;
    if (!atomic_compare_exchange_strong(&item_at(ring, start_pos)->link, &expected, end_pos + 1))
        return false;
    atomic_store(&item_at(ring, end_pos)->link, AO_LINK_SKIP);
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
