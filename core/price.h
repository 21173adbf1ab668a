/*
 * price.h - what a model costs: rates, their table, and how a model id finds its row.
 *
 * Money is integer pico-USD (10^-12 USD). A rate in pico-USD per token is the
 * same number as micro-USD per million tokens: $3 per million is 3000000.
 *
 * A table is data: the host fills it (host/money/price_table.h), the core reads it.
 * An unknown model is unknown: AO_ERR_NOTFOUND, never a default row.
 *
 * Sources of the rules: Anthropic's pricing page (cache writes, long prompts,
 * fast mode, data residency, batch), AWS Bedrock's regional inference profiles,
 * and the figures that Claude Code 2.1.329 itself reports.
 */
#ifndef AO_PRICE_H
#define AO_PRICE_H

#include "core/base.h"
#include "core/err.h"

#define AO_PUSD_PER_USD INT64_C(1000000000000)
/* Multipliers (geography, batch, provider premium) are integers in thousandths. */
#define AO_FACTOR_ONE 1000u
#define AO_FACTOR_MAX 100000u

/* pUSD per token. */
struct ao_rates {
    int64_t input;
    int64_t output;
    int64_t cache_read;
    int64_t cache_write_5m;
    int64_t cache_write_1h;
};

/* One row: a model's price in one period. Every text is owned by the table, NUL-terminated. */
struct ao_price {
    char *model;           /* canonical id, e.g. "claude-sonnet-4-5" */
    char *row;             /* id of the row, unique in the table, e.g. "claude-sonnet-4-5@2026-04-30" */
    char *source;          /* where the figures come from, for people */
    struct ao_rates base;
    struct ao_rates fast;  /* speed "fast"; only when has_fast */
    struct ao_rates above; /* prompts longer than above_tokens; only when above_tokens > 0 */
    uint64_t above_tokens; /* strict: input + cache reads + cache writes of the request > this */
    uint64_t valid_from;   /* ns since the Unix epoch, inclusive; 0 = always */
    uint64_t valid_until;  /* exclusive; 0 = still valid */
    bool has_fast;
    bool regional_premium; /* provider variants with a factor other than 1 apply to it */
    bool assumed;          /* made by ao_price_table_assume, not by a source */
};

/* Another name for a model; compared after canonicalisation. */
struct ao_price_alias {
    char *alias;
    char *model;
};

/* A regional prefix of a provider's model ids ("us" in us.anthropic.claude-...) and its factor. */
struct ao_price_variant {
    char *prefix;
    uint32_t factor; /* thousandths */
};

/* Zero-initialise, or ao_price_table_init. Owns all that it points to. */
struct ao_price_table {
    char *name;    /* e.g. "agentobs-claude" */
    char *version; /* e.g. "2026-11-20" */
    struct ao_price *rows;
    size_t row_count;
    struct ao_price_alias *aliases;
    size_t alias_count;
    struct ao_price_variant *variants;
    size_t variant_count;
    int64_t web_search;     /* pUSD per request */
    uint32_t geo_us_factor; /* inference_geo "us"; not on web search */
    uint32_t batch_factor;  /* service_tier "batch"; not on web search */
};

void ao_price_table_init(struct ao_price_table *table);
void ao_price_table_release(struct ao_price_table *table); /* accepts NULL; leaves an empty table */

#define AO_PRICE_ASSUMED "assumed:" /* what the name of an assumed row begins with; the other's row follows */
/*
 * Says that `model` costs what `other` costs: adds rows copied from other's and
 * marked `assumed`; they win over rows that the table has. AO_ERR_NOTFOUND when
 * `other` has no row, AO_ERR_USAGE for an empty model. The table is unchanged on failure.
 */
int ao_price_table_assume(struct ao_price_table *table, struct ao_str model, struct ao_str other);

/* ---- model ids ---- */

#define AO_MODEL_ID_MAX 256u

/* A model id taken apart. */
struct ao_model_id {
    char name[AO_MODEL_ID_MAX]; /* canonical, NUL-terminated */
    size_t len;
    char region[16];            /* "us", "eu", "global", ...; "" when there is none */
    bool fast;                  /* the id itself asks for fast speed ("-fast") */
};

/*
 * Canonical form: lower case; without a path ("openrouter/anthropic/"), context
 * suffix ("[1m]"), region ("us.", "eu.", "apac.", "jp.", "au.", "us-gov.", "global."),
 * "anthropic." and "@..."; "4.5" becomes "4-5". Claude ids also lose their date
 * ("-20250929"), version ("-v1", "-v1:0"), "-latest" and "-fast".
 * AO_ERR_LIMIT beyond AO_MODEL_ID_MAX - 1 bytes, AO_ERR_SYNTAX when nothing remains.
 */
int ao_model_id_parse(struct ao_str id, struct ao_model_id *ret_id);

/* ---- lookup ---- */

struct ao_price_match {
    const struct ao_price *price; /* points into the table */
    const struct ao_price_table *table;
    uint32_t premium;             /* the provider variant's factor in thousandths; AO_FACTOR_ONE mostly */
    bool fast;                    /* the id asked for fast speed: the fast row, where there is one */
};

/*
 * The row for a model id at a time (ns since the Unix epoch; 0 = the newest row).
 * AO_ERR_NOTFOUND: no such model, no row valid then, or a region whose premium
 * the table does not know for a model that has one.
 */
int ao_price_lookup(const struct ao_price_table *table, struct ao_str model_id, uint64_t time,
                    struct ao_price_match *ret_match);

#endif
