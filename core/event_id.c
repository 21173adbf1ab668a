#include "core/event_id.h"

#include "core/buf.h"

/* FNV alone leaves patterns in ids of near texts. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

struct ao_span_id ao_event_id(const struct ao_trace_id *trace_id, const struct ao_span_id *parent, uint64_t time,
                              uint64_t ordinal, struct ao_str name, struct ao_str attributes)
{
    char when[20];
    struct ao_span_id id;
    uint64_t hash = ao_hash(AO_HASH_START, (struct ao_str){(const char *)trace_id->bytes, sizeof(*trace_id)});
    hash = ao_hash(hash, (struct ao_str){(const char *)parent->bytes, sizeof(*parent)});
    hash = ao_hash(hash, (struct ao_str){when, ao_format_u64(when, time)});
    hash = ao_hash(ao_hash(hash, AO_STR(":")), name);
    hash = ao_hash(ao_hash(hash, AO_STR("\0")), attributes);
    hash = mix(ordinal ? mix(hash) + ordinal : hash);
    for (size_t i = 0; i < sizeof(id.bytes); i++)
        id.bytes[i] = (uint8_t)(hash >> (56 - 8 * i));
    if (ao_span_id_is_zero(&id))
        id.bytes[0] = 1;
    return id;
}
