/*
 * idmap.h - a hash map from span ids to array indexes.
 *
 * The ids come from the sandbox: the hash is seeded, so that chosen ids cannot
 * make it slow.
 */
#ifndef AO_HOST_IDMAP_H
#define AO_HOST_IDMAP_H

#include "core/base.h"
#include "core/id.h"

#define IDMAP_NONE SIZE_MAX

/* The key of what is no span: of a hash of it. */
static inline struct ao_span_id idmap_key(uint64_t hash)
{
    struct ao_span_id key;
    memcpy(key.bytes, &hash, sizeof(key.bytes));
    return key;
}

struct idmap_slot {
    struct ao_span_id id;
    size_t index; /* IDMAP_NONE: empty */
};

struct idmap {
    struct idmap_slot *slots;
    size_t cap; /* a power of two, or 0 */
    size_t count;
    uint64_t seed;
};

void idmap_init(struct idmap *map, uint64_t seed);
void idmap_release(struct idmap *map);
/* IDMAP_NONE when the id is not there. */
size_t idmap_get(const struct idmap *map, const struct ao_span_id *id);
/* Adds or replaces. AO_ERR_NOMEM leaves the map as it was. */
int idmap_put(struct idmap *map, const struct ao_span_id *id, size_t index);

#endif
