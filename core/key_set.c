#include "core/key_set.h"

void ao_keys_init(struct ao_keys *keys)
{
    memset(keys, 0, sizeof(*keys));
}

bool ao_keys_add(struct ao_keys *keys, struct ao_str key)
{
    uint64_t hash = ao_hash(AO_HASH_START, key);
    if (hash == 0)
        hash = 1;
    size_t at = (size_t)(hash % AO_ARRAY_LEN(keys->slots));
    while (keys->slots[at]) {
        if (keys->slots[at] == hash)
            return false;
        at = (at + 1) % AO_ARRAY_LEN(keys->slots);
    }
    if (keys->count == AO_KEYS_MAX) {
        keys->left_out++;
        return false;
    }
    keys->slots[at] = hash;
    keys->count++;
    return true;
}
