#include "host/dialects/claude_ids.h"

#include "core/limits.h"
#include "core/mem.h"

#define FIRST_CAP 64u

/* ---- SipHash-2-4 ---- */

static uint64_t rotl(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], unsigned count)
{
    while (count--) {
        v[0] += v[1];
        v[1] = rotl(v[1], 13) ^ v[0];
        v[0] = rotl(v[0], 32);
        v[2] += v[3];
        v[3] = rotl(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotl(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotl(v[1], 17) ^ v[2];
        v[2] = rotl(v[2], 32);
    }
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_rounds(v, 2);
    v[0] ^= word;
}

static uint64_t load_le(const char *bytes, size_t len)
{
    uint64_t word = 0;
    for (size_t i = len; i > 0; i--)
        word = word << 8 | (uint8_t)bytes[i - 1];
    return word;
}

uint64_t claude_hash(const uint64_t hash_key[2], uint64_t word, struct ao_str text)
{
    uint64_t v[4] = {
        hash_key[0] ^ UINT64_C(0x736f6d6570736575), hash_key[1] ^ UINT64_C(0x646f72616e646f6d),
        hash_key[0] ^ UINT64_C(0x6c7967656e657261), hash_key[1] ^ UINT64_C(0x7465646279746573),
    };
    const char *at = text.ptr ? text.ptr : "";
    size_t left = text.len;
    sip_word(v, word);
    for (; left >= 8; left -= 8, at += 8)
        sip_word(v, load_le(at, 8));
    sip_word(v, (uint64_t)(text.len + 8) << 56 | load_le(at, left));
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- the table ---- */

void claude_ids_init(struct claude_ids *ids, const uint64_t hash_key[2])
{
    *ids = (struct claude_ids){.hash_key = {hash_key[0], hash_key[1]}};
}

void claude_ids_release(struct claude_ids *ids)
{
    ao_free(ids->slots);
    claude_ids_init(ids, ids->hash_key);
}

static struct claude_id_slot *find(const struct claude_ids *ids, uint64_t key)
{
    size_t at = (size_t)key & (ids->cap - 1);
    while (ids->slots[at].value != CLAUDE_NONE && ids->slots[at].key != key)
        at = (at + 1) & (ids->cap - 1);
    return &ids->slots[at];
}

static uint64_t key_of(const struct claude_ids *ids, enum claude_id_kind kind, uint32_t scope, struct ao_str id)
{
    return claude_hash(ids->hash_key, (uint64_t)kind << 32 | scope, id);
}

uint32_t claude_ids_get(const struct claude_ids *ids, enum claude_id_kind kind, uint32_t scope, struct ao_str id)
{
    return ids->cap && id.len ? find(ids, key_of(ids, kind, scope, id))->value : CLAUDE_NONE;
}

static int grow(struct claude_ids *ids)
{
    struct claude_ids bigger = *ids;
    bigger.cap = ids->cap ? ids->cap * 2 : FIRST_CAP;
    bigger.slots = ao_malloc(bigger.cap * sizeof(*bigger.slots));
    if (!bigger.slots)
        return AO_ERR_NOMEM;
    for (size_t i = 0; i < bigger.cap; i++)
        bigger.slots[i] = (struct claude_id_slot){0, CLAUDE_NONE};
    for (size_t i = 0; i < ids->cap; i++)
        if (ids->slots[i].value != CLAUDE_NONE)
            *find(&bigger, ids->slots[i].key) = ids->slots[i];
    ao_free(ids->slots);
    *ids = bigger;
    return AO_OK;
}

int claude_ids_put(struct claude_ids *ids, enum claude_id_kind kind, uint32_t scope, struct ao_str id, uint32_t value)
{
    uint64_t key = key_of(ids, kind, scope, id);
    if (ids->count >= AO_DIALECT_IDS_MAX && find(ids, key)->value == CLAUDE_NONE)
        return AO_ERR_LIMIT;
    if (ids->count >= ids->cap / 2) {
        int err = grow(ids);
        if (err)
            return err;
    }
    struct claude_id_slot *slot = find(ids, key);
    ids->count += slot->value == CLAUDE_NONE;
    *slot = (struct claude_id_slot){key, value};
    return AO_OK;
}
