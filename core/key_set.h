/*
 * key_set.h - the keys that an encoder has written so far, so that none is written
 * twice: of equal keys the first wins.
 */
#ifndef AO_KEY_SET_H
#define AO_KEY_SET_H

#include "core/base.h"
#include "core/limits.h"

/* Keys by hash; a collision of 64 bits only loses one key. */
struct ao_keys {
    uint64_t slots[2 * AO_KEYS_MAX];
    size_t count;
    uint64_t left_out;
};

void ao_keys_init(struct ao_keys *keys);
/* True when the key (unescaped UTF-8) is new and there was room. A full table counts it as left out. */
bool ao_keys_add(struct ao_keys *keys, struct ao_str key);

#endif
