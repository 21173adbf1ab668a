/*
 * id.h - trace and span ids (W3C Trace Context Level 2, sections 3.2.2.3-4).
 */
#ifndef AO_ID_H
#define AO_ID_H

#include "core/base.h"
#include "core/err.h"

struct ao_trace_id {
    uint8_t bytes[16];
};

struct ao_span_id {
    uint8_t bytes[8];
};

#define AO_TRACE_ID_HEX 32u
#define AO_SPAN_ID_HEX 16u

/* xoshiro256**: fast ids without a system call. Seed from the system's random source; seed anew after fork. */
struct ao_prng {
    uint64_t state[4];
};

/* Four words of randomness; an all-zero seed is mended, never rejected. */
void ao_prng_seed(struct ao_prng *prng, const uint64_t seed[4]);
uint64_t ao_prng_next(struct ao_prng *prng);

/* Never all zero. */
struct ao_trace_id ao_trace_id_random(struct ao_prng *prng);
struct ao_span_id ao_span_id_random(struct ao_prng *prng);

static inline bool ao_trace_id_eq(const struct ao_trace_id *a, const struct ao_trace_id *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static inline bool ao_span_id_eq(const struct ao_span_id *a, const struct ao_span_id *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static inline bool ao_trace_id_is_zero(const struct ao_trace_id *id)
{
    return ao_trace_id_eq(id, &(struct ao_trace_id){{0}});
}

static inline bool ao_span_id_is_zero(const struct ao_span_id *id)
{
    return ao_span_id_eq(id, &(struct ao_span_id){{0}});
}

/* Lowercase hex of exactly the right length; AO_ERR_SYNTAX otherwise. All zero parses: callers decide. */
int ao_trace_id_parse(struct ao_str hex, struct ao_trace_id *ret_id);
int ao_span_id_parse(struct ao_str hex, struct ao_span_id *ret_id);

/* Writes lowercase hex and a NUL: 33 and 17 bytes. */
void ao_trace_id_format(const struct ao_trace_id *id, char out[AO_TRACE_ID_HEX + 1]);
void ao_span_id_format(const struct ao_span_id *id, char out[AO_SPAN_ID_HEX + 1]);

/* Any bytes from lowercase hex; AO_ERR_SYNTAX unless hex.len == 2 * len and all digits are 0-9a-f. */
int ao_hex_parse(struct ao_str hex, uint8_t *out, size_t len);

#endif
