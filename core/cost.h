/*
 * cost.h - from usage and a price to money, exactly, in integers.
 *
 * One API request, per Anthropic's pricing page and checked against what Claude
 * Code 2.1.329 reports:
 *
 *   writes  = max(cache_write, cache_write_5m + cache_write_1h)
 *   1h      = min(cache_write_1h, writes); the rest, unsplit writes too, is 5m
 *   row     = fast row when speed is fast and there is one, else the long-prompt
 *             row when input + cache_read + writes > its threshold, else the base row
 *   tokens  = input*I + output*O + cache_read*R + 1h*W1h + (writes - 1h)*W5m
 *   factor  = 1.1 for inference_geo "us" or a regional provider id (one premium,
 *             not two), times 0.5 for service_tier "batch"
 *   cost    = tokens * factor + web_search_requests * web_search
 *
 * Thinking tokens are inside output; web fetches are free. Where a factor leaves
 * a fraction of a pico-USD, each part is rounded half up: total = sum of parts, always.
 */
#ifndef AO_COST_H
#define AO_COST_H

#include "core/base.h"
#include "core/err.h"
#include "core/price.h"

enum ao_speed { AO_SPEED_UNKNOWN, AO_SPEED_STANDARD, AO_SPEED_FAST };
enum ao_geo { AO_GEO_UNKNOWN, AO_GEO_OTHER, AO_GEO_US };
enum ao_tier { AO_TIER_UNKNOWN, AO_TIER_STANDARD, AO_TIER_PRIORITY, AO_TIER_BATCH };

/* Tokens as the Messages API counts them. */
struct ao_usage {
    uint64_t input; /* uncached */
    uint64_t output; /* thinking included */
    uint64_t cache_read;
    uint64_t cache_write; /* all cache writes, as the flat field told them */
    uint64_t cache_write_5m;
    uint64_t cache_write_1h;
    uint64_t thinking; /* of output */
    uint64_t web_search_requests;
    enum ao_speed speed;
    enum ao_geo geo;
    enum ao_tier tier;
};

enum ao_speed ao_speed_parse(struct ao_str text); /* "fast", "standard"/"normal", else unknown */
enum ao_geo ao_geo_parse(struct ao_str text);     /* "us"; any other non-empty word is OTHER */
enum ao_tier ao_tier_parse(struct ao_str text);

/* All cache writes: max(flat, 5m + 1h), saturating. */
uint64_t ao_usage_writes(const struct ao_usage *usage);
/* Billed tokens: input + output + cache reads + cache writes, saturating. */
uint64_t ao_usage_tokens(const struct ao_usage *usage);
bool ao_usage_is_zero(const struct ao_usage *usage);
/*
 * Makes cache_write the whole and cache_write_5m + cache_write_1h its exact split,
 * unsplit writes going to 5m: what is billed.
 */
void ao_usage_normalize(struct ao_usage *usage);
/* Field by field: the larger one. */
void ao_usage_max(struct ao_usage *into, const struct ao_usage *other);
/* Field by field, saturating; a speed, geography or tier that differs becomes unknown. */
void ao_usage_add(struct ao_usage *into, const struct ao_usage *other);

/* Which rules made the figure. */
enum {
    AO_COST_FAST = 1,     /* fast row */
    AO_COST_LONG = 2,     /* long-prompt row */
    AO_COST_GEO = 4,      /* inference_geo us */
    AO_COST_REGIONAL = 8, /* regional provider id */
    AO_COST_BATCH = 16,   /* batch tier */
    AO_COST_ASSUMED = 32, /* the row is another model's (--assume-price) */
};

/* pico-USD by token class. */
struct ao_cost {
    int64_t input;
    int64_t output;
    int64_t cache_read;
    int64_t cache_write_5m;
    int64_t cache_write_1h;
    int64_t web_search;
    int64_t total; /* the sum of the six above */
    unsigned rules; /* AO_COST_x, or-ed */
};

/* Prices one API request. AO_ERR_OVERFLOW when a part or the sum is beyond int64 ($9.2 million). */
int ao_cost_request(const struct ao_price_match *match, const struct ao_usage *usage, struct ao_cost *ret_cost);
/* Part by part; AO_ERR_OVERFLOW leaves `into` as it was. */
int ao_cost_add(struct ao_cost *into, const struct ao_cost *other);
/*
 * Makes the total exactly `total` (>= 0) by scaling every part in proportion, the
 * rounding going to the largest; with all parts 0 it becomes input cost. For
 * figures that somebody else reported as a lump.
 */
int ao_cost_scale_to(struct ao_cost *cost, int64_t total);

/* ---- E2B ---- */

struct ao_e2b_price {
    int64_t vcpu_second; /* pUSD; 0.000014 USD is 14000000 */
    int64_t gib_second;
    char table[64];      /* name of the table that told them */
};

struct ao_e2b_cost {
    int64_t cpu;
    int64_t memory;
    int64_t total; /* cpu + memory */
};

/*
 * Allocated size (not used size) over the sandbox's lifetime, paused time not
 * counted; exact to the nanosecond, each part rounded half up once. AO_ERR_OVERFLOW.
 */
int ao_cost_e2b(const struct ao_e2b_price *price, uint64_t vcpus, uint64_t memory_mib, uint64_t lifetime_ns,
                struct ao_e2b_cost *ret_cost);

/* ---- text ---- */

#define AO_USD_TEXT 32u /* bytes that the two below need at most, NUL included */

/* The exact amount as a JSON number without trailing zeros: "0.042", "-1.5", "0". Returns the length. */
size_t ao_format_usd(int64_t pusd, char out[AO_USD_TEXT]);
/* For people, rounded half up: "$12.35", "$0.0420", "$0.000137", "<$0.000001", "$0". Returns the length. */
size_t ao_format_usd_short(int64_t pusd, char out[AO_USD_TEXT]);

#endif
