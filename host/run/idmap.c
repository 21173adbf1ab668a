#include "host/run/idmap.h"

#include "core/err.h"
#include "core/mem.h"

#define IDMAP_FIRST_CAP 64u

void idmap_init(struct idmap *map, uint64_t seed)
{
    *map = (struct idmap){.seed = seed};
}

void idmap_release(struct idmap *map)
{
    ao_free(map->slots);
    idmap_init(map, map->seed);
}

static size_t first_slot(const struct idmap *map, const struct ao_span_id *id)
{
    uint64_t h;
    memcpy(&h, id->bytes, sizeof(h));
    h ^= map->seed;
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (size_t)(h ^ (h >> 31)) & (map->cap - 1);
}

/* The slot that holds the id, or the empty one where it belongs. */
static struct idmap_slot *find_slot(const struct idmap *map, const struct ao_span_id *id)
{
    size_t at = first_slot(map, id);
    while (map->slots[at].index != IDMAP_NONE && !ao_span_id_eq(&map->slots[at].id, id))
        at = (at + 1) & (map->cap - 1);
    return &map->slots[at];
}

size_t idmap_get(const struct idmap *map, const struct ao_span_id *id)
{
    return map->cap ? find_slot(map, id)->index : IDMAP_NONE;
}

static int grow(struct idmap *map)
{
    struct idmap bigger = {.cap = map->cap ? map->cap * 2 : IDMAP_FIRST_CAP, .count = map->count, .seed = map->seed};
    if (bigger.cap > SIZE_MAX / sizeof(*bigger.slots))
        return AO_ERR_NOMEM;
    bigger.slots = ao_malloc(bigger.cap * sizeof(*bigger.slots));
    if (!bigger.slots)
        return AO_ERR_NOMEM;
    for (size_t i = 0; i < bigger.cap; i++)
        bigger.slots[i].index = IDMAP_NONE;
    for (size_t i = 0; i < map->cap; i++)
        if (map->slots[i].index != IDMAP_NONE)
            *find_slot(&bigger, &map->slots[i].id) = map->slots[i];
    ao_free(map->slots);
    *map = bigger;
    return AO_OK;
}

int idmap_put(struct idmap *map, const struct ao_span_id *id, size_t index)
{
    if (map->count >= map->cap / 2) {
        int err = grow(map);
        if (err)
            return err;
    }
    struct idmap_slot *slot = find_slot(map, id);
    if (slot->index == IDMAP_NONE)
        map->count++;
    *slot = (struct idmap_slot){*id, index};
    return AO_OK;
}
