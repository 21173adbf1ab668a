/*
 * token_counts.h - tokens of one span as the Messages API counts them, for the
 * encoders of the backends: which counts are known, and the sums that their
 * conventions ask for.
 */
#ifndef AO_TOKEN_COUNTS_H
#define AO_TOKEN_COUNTS_H

#include "core/base.h"

/* Which counts are known; unknown ones are left out, never written as 0. */
enum {
    AO_COUNT_INPUT = 1,
    AO_COUNT_OUTPUT = 2,
    AO_COUNT_CACHE_READ = 4,
    AO_COUNT_CACHE_WRITE = 8,
    AO_COUNT_CACHE_SPLIT = 16,
    AO_COUNT_THINKING = 32,
};

struct ao_token_counts {
    uint64_t input; /* excludes the cache */
    uint64_t output;
    uint64_t cache_read;
    uint64_t cache_write; /* all cache writes, the split ones included */
    uint64_t cache_write_5m;
    uint64_t cache_write_1h;
    uint64_t thinking; /* of output */
    unsigned known;
};

static inline uint64_t ao_add_saturating(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Cache writes of the split; 0 when it is not known. */
static inline uint64_t ao_token_counts_split(const struct ao_token_counts *c)
{
    return c->known & AO_COUNT_CACHE_SPLIT ? ao_add_saturating(c->cache_write_5m, c->cache_write_1h) : 0;
}

/* All cache writes that are known of: max(flat, split). */
static inline uint64_t ao_token_counts_writes(const struct ao_token_counts *c)
{
    uint64_t split = ao_token_counts_split(c);
    return c->known & AO_COUNT_CACHE_WRITE && c->cache_write > split ? c->cache_write : split;
}

/* The whole prompt: input, cache reads and cache writes. */
static inline uint64_t ao_token_counts_prompt(const struct ao_token_counts *c)
{
    uint64_t reads = c->known & AO_COUNT_CACHE_READ ? c->cache_read : 0;
    return ao_add_saturating(ao_add_saturating(c->input, reads), ao_token_counts_writes(c));
}

#endif
