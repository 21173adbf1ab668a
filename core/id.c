#include "core/id.h"

static const char hex_digits[] = "0123456789abcdef";

void ao_prng_seed(struct ao_prng *prng, const uint64_t seed[4])
{
    memcpy(prng->state, seed, sizeof(prng->state));
    if ((seed[0] | seed[1] | seed[2] | seed[3]) == 0)
        prng->state[0] = 0x9e3779b97f4a7c15u;
}

static inline uint64_t rotl(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

uint64_t ao_prng_next(struct ao_prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

struct ao_trace_id ao_trace_id_random(struct ao_prng *prng)
{
    struct ao_trace_id id;
    do {
        uint64_t words[2] = {ao_prng_next(prng), ao_prng_next(prng)};
        memcpy(id.bytes, words, sizeof(id.bytes));
    } while (ao_trace_id_is_zero(&id));
    return id;
}

struct ao_span_id ao_span_id_random(struct ao_prng *prng)
{
    struct ao_span_id id;
    uint64_t word;
    do {
        word = ao_prng_next(prng);
    } while (word == 0);
    memcpy(id.bytes, &word, sizeof(id.bytes));
    return id;
}

/* One more than the digit's value; 0 for what is no lowercase hex digit. */
static const uint8_t hex_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

static inline unsigned hex_value(char c)
{
    return hex_values[(uint8_t)c];
}

int ao_hex_parse(struct ao_str hex, uint8_t *out, size_t len)
{
    if (hex.len != len * 2)
        return AO_ERR_SYNTAX;
    for (size_t i = 0; i < hex.len; i++)
        if (hex_value(hex.ptr[i]) == 0)
            return AO_ERR_SYNTAX;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)((hex_value(hex.ptr[2 * i]) - 1) << 4 | (hex_value(hex.ptr[2 * i + 1]) - 1));
    return AO_OK;
}

int ao_trace_id_parse(struct ao_str hex, struct ao_trace_id *ret_id)
{
    return ao_hex_parse(hex, ret_id->bytes, sizeof(ret_id->bytes));
}

int ao_span_id_parse(struct ao_str hex, struct ao_span_id *ret_id)
{
    return ao_hex_parse(hex, ret_id->bytes, sizeof(ret_id->bytes));
}

static void hex_format(const uint8_t *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = hex_digits[bytes[i] >> 4];
        out[2 * i + 1] = hex_digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

void ao_trace_id_format(const struct ao_trace_id *id, char out[AO_TRACE_ID_HEX + 1])
{
    hex_format(id->bytes, sizeof(id->bytes), out);
}

void ao_span_id_format(const struct ao_span_id *id, char out[AO_SPAN_ID_HEX + 1])
{
    hex_format(id->bytes, sizeof(id->bytes), out);
}
